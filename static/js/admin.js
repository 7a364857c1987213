/* The admin's page of engines. A connection test takes seconds and can cost money, so the script disables its button
   after the first press. */

for (const form of document.querySelectorAll(".engine form")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    // Deferred until the browser has started the submission: it would ignore a disabled button.
    setTimeout(() => {
      button.disabled = true;
      button.textContent = button.dataset.busy;
    });
  });
}

// The browser restores a page from its cache with the buttons disabled. Reload to enable them.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
