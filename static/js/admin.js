/* The admin's page of engines: a test takes its time and can cost money, so one press is enough. */

for (const form of document.querySelectorAll(".engine form")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    // After the submission has begun: a disabled button can't be what was pressed.
    setTimeout(() => {
      button.disabled = true;
      button.textContent = button.dataset.busy;
    });
  });
}

// Back from another page, out of the browser's cache: the buttons are ready again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
