/* What every page needs. The entry module of base.html. */

import { watchMenus } from "./menus.js";
import { watchRenames } from "./rename.js";
import { say } from "./times.js";

say(document);
watchMenus();
watchRenames();

// A filter answers as soon as it is changed; its button stays for pages without scripts.
for (const form of document.querySelectorAll("form[data-sends-itself]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

// One press is enough: a second one would start a second job.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (event.defaultPrevented || !button || event.target.method !== "post") return;
  // After the submission has read the form: a disabled button's value would not be sent.
  setTimeout(() => (button.disabled = true));
});

// Back from another page, out of the browser's cache: the buttons are ready again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
