/* Whether the reader is signed in, and the token that forms need: after a new sign-in it is another one. */

/* Returns the token of a page that is fetched now, or null where that is the sign-in page or cannot be reached. */
export async function freshToken() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!response?.ok || response.redirected) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const token = page.querySelector("input[name='csrfmiddlewaretoken']")?.value ?? null;
  if (token) for (const field of document.querySelectorAll("input[name='csrfmiddlewaretoken']")) field.value = token;
  return token;
}
