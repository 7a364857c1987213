/* Checks whether the reader is signed in, and renews the CSRF token, which changes with each sign-in. */

/* Fetch this page, write its CSRF token into the page's forms and return it. Returns null if the reader is signed out
   or the server can't be reached. */
export async function freshToken() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!response?.ok || response.redirected) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const token = page.querySelector("input[name='csrfmiddlewaretoken']")?.value ?? null;
  if (token) for (const field of document.querySelectorAll("input[name='csrfmiddlewaretoken']")) field.value = token;
  return token;
}
