/* Closes menus on a click outside or Escape, and opens dialogs that confirm a deletion.

   Both work without this script: a menu is a <details>, and the link to a dialog leads to a page with the dialog
   open. */

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
function openDialog(event) {
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
    dialog.close(); // the server rendered it open; only showModal puts it above the page
    dialog.showModal();
  }
  document.addEventListener("click", (event) => {
    openDialog(event);
    closeMenus(event.target.closest?.("details.menu"));
  });
  document.addEventListener("keydown", closeOnEscape);
}
