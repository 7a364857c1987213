/* A name becomes a field in its place. Without this script the same form is on the upload's page (?rename). */

import { closeMenus } from "./menus.js";

function open(link) {
  const named = link.closest("[data-named]");
  const form = named?.querySelector(".rename");
  if (!form) return false;
  closeMenus();
  form.hidden = false;
  named.querySelector(".name").hidden = true;
  const field = form.elements.name;
  field.focus();
  // Select up to the file's ending: that is what one wants to change.
  const dot = field.value.lastIndexOf(".");
  field.setSelectionRange(0, dot > 0 ? dot : field.value.length);
  return true;
}

function close(form) {
  const named = form.closest("[data-named]");
  form.reset();
  form.hidden = true;
  named.querySelector(".name").hidden = false;
  (named.querySelector(".name a") ?? named.querySelector("[data-renames]"))?.focus();
}

export function watchRenames() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-renames]");
    if (link && open(link)) event.preventDefault();
    const leave = event.target.closest?.(".rename [data-leaves]");
    if (leave) {
      event.preventDefault();
      close(leave.closest(".rename"));
    }
  });
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.(".rename");
    if (form && event.key === "Escape") close(form);
  });
}
