/* The entry module of base.html: times, menus, renaming and forms, which every page has. */

import { watchMenus } from "./menus.js";
import { watchRenames } from "./rename.js";
import { formatMoments } from "./times.js";

formatMoments(document);
watchMenus();
watchRenames();

// A filter is submitted as soon as it changes. Its button is for pages without scripts.
for (const form of document.querySelectorAll("form[data-sends-itself]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

// Disable the pressed button: a second press would submit the form twice.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (event.defaultPrevented || !button || event.target.method !== "post") return;
  // Deferred until the browser has read the form: it does not send the value of a disabled button.
  setTimeout(() => (button.disabled = true));
});

// The browser restores a page from its cache with the buttons disabled. Reload to enable them.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
