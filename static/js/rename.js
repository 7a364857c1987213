/* Renames a recording in place: swaps its name for a form, sends that and shows the result with Undo. Without this
   script the same form is on the recording's page (?rename). */

import { closeMenus } from "./menus.js";

function open(link) {
  const named = link.closest("[data-named]");
  const form = named?.querySelector(".rename");
  if (!form) return false;
  closeMenus();
  showResult(form, "");
  show(form, true);
  const field = form.elements.name;
  field.focus();
  // Select the name without its extension, which readers rarely change.
  const dot = field.value.lastIndexOf(".");
  field.setSelectionRange(0, dot > 0 ? dot : field.value.length);
  return true;
}

function cancel(form) {
  form.reset();
  showResult(form, "");
  show(form, false);
  focusName(form);
}

async function send(form, name) {
  const before = nameOf(form).textContent;
  const data = new FormData(form);
  data.set("name", name);
  let answer = {};
  try {
    const response = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: data });
    answer = await response.json();
  } catch {
    // No network, or a page instead of JSON. Both leave `answer` empty, which shows the general message.
  }
  form.querySelector("button").disabled = false;
  if (!answer.name) {
    showResult(form, answer.error ?? "Could not rename the recording. Try again.");
    return;
  }
  form.elements.name.defaultValue = answer.name;
  document.title = document.title.replace(before, () => answer.name);
  renameAll(form.closest("[data-named]"), before, answer.name);
  show(form, false);
  focusName(form);
  showResult(form, "Renamed.", () => send(form, before));
}

/* Replace the name wherever the page shows it: in the row or heading, in labels, and in the dialog that deletes the
   recording. */
function renameAll(named, before, name) {
  nameOf(named.querySelector(".rename")).textContent = name;
  for (const node of named.querySelectorAll("[data-name]")) node.dataset.name = name;
  for (const node of named.querySelectorAll("[aria-label]")) {
    node.setAttribute("aria-label", node.getAttribute("aria-label").replace(before, () => name));
  }
  if (named.matches("[data-row]")) return; // a list's dialog gets its name when it opens
  for (const node of document.querySelectorAll("dialog [data-fill='name']")) node.textContent = name;
}

/* Show the result next to the name; `undo`, if given, is offered as a button. */
function showResult(form, text, undo) {
  const place = form.closest("[data-named]").querySelector(".renamed");
  place.textContent = text;
  place.hidden = !text;
  if (!undo) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = "Undo";
  button.addEventListener("click", undo);
  place.append(" ", button);
}

function show(form, isOpen) {
  form.hidden = !isOpen;
  nameOf(form).hidden = isOpen;
}

function nameOf(form) {
  return form.closest("[data-named]").querySelector(".name");
}

function focusName(form) {
  const named = form.closest("[data-named]");
  (named.querySelector("a.name") ?? named.querySelector("[data-renames]"))?.focus();
}

export function watchRenames() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-renames]");
    if (opener && open(opener)) event.preventDefault();
    const canceller = event.target.closest?.(".rename [data-cancels]");
    if (canceller) {
      event.preventDefault();
      cancel(canceller.closest(".rename"));
    }
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches(".rename")) return;
    event.preventDefault();
    send(form, form.elements.name.value);
  });
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.(".rename");
    if (form && event.key === "Escape") cancel(form);
  });
}
