/* Menus that close by themselves, and dialogs that ask before something is lost.

   Both work without this script: a menu is a <details>, and a link that asks leads to a page on which the
   dialog is open. */

export function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu !== except) menu.open = false;
  }
}

function closeOnEscape(event) {
  const menu = event.target.closest?.("details.menu[open]");
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
}

/* A link with data-asks="<id>" opens that dialog; its data-action and data-name fill the dialog's form. */
function ask(event) {
  const link = event.target.closest?.("[data-asks]");
  if (!link) return;
  const dialog = document.getElementById(link.dataset.asks);
  if (!dialog) return;
  event.preventDefault();
  if (link.dataset.action) dialog.querySelector("form[method='post']").action = link.dataset.action;
  const name = dialog.querySelector("[data-fill='name']");
  if (name && link.dataset.name) name.textContent = link.dataset.name;
  closeMenus();
  dialog.showModal();
}

export function watchMenus() {
  for (const dialog of document.querySelectorAll("dialog[open]")) {
    dialog.close(); // the address opened it, but only a script can put it above the page
    dialog.showModal();
  }
  document.addEventListener("click", (event) => {
    ask(event);
    closeMenus(event.target.closest?.("details.menu"));
  });
  document.addEventListener("keydown", closeOnEscape);
}
