/* A name becomes a field in its place, and says what it did. Without this script the same form is on the upload's
   page (?rename), and is sent as any other. */

import { closeMenus } from "./menus.js";

function open(link) {
  const named = link.closest("[data-named]");
  const form = named?.querySelector(".rename");
  if (!form) return false;
  closeMenus();
  say(form, "");
  show(form, true);
  const field = form.elements.name;
  field.focus();
  // Select up to the file's ending: that is what one wants to change.
  const dot = field.value.lastIndexOf(".");
  field.setSelectionRange(0, dot > 0 ? dot : field.value.length);
  return true;
}

function leave(form) {
  form.reset();
  say(form, "");
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
    // No network, or a page instead of an answer; what to do is the same.
  }
  form.querySelector("button").disabled = false;
  if (!answer.name) {
    say(form, answer.error ?? "It could not be renamed just now. Try again.");
    return;
  }
  form.elements.name.defaultValue = answer.name;
  document.title = document.title.replace(before, () => answer.name);
  renameAll(form.closest("[data-named]"), before, answer.name);
  show(form, false);
  focusName(form);
  say(form, "Renamed.", () => send(form, before));
}

/* Everything that says the name: in the row or head itself, and in the dialog that deletes a page's one recording. */
function renameAll(named, before, name) {
  nameOf(named.querySelector(".rename")).textContent = name;
  for (const node of named.querySelectorAll("[data-name]")) node.dataset.name = name;
  for (const node of named.querySelectorAll("[aria-label]")) {
    node.setAttribute("aria-label", node.getAttribute("aria-label").replace(before, () => name));
  }
  if (named.matches("[data-row]")) return; // the dialog of a list is filled when it opens
  for (const node of document.querySelectorAll("dialog [data-fill='name']")) node.textContent = name;
}

/* Say what happened, next to the name, and offer to take it back. */
function say(form, text, undo) {
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
    const leaver = event.target.closest?.(".rename [data-leaves]");
    if (leaver) {
      event.preventDefault();
      leave(leaver.closest(".rename"));
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
    if (form && event.key === "Escape") leave(form);
  });
}
