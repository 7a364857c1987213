/* The library: files come by the button, by drop anywhere on the page, and by paste. */

import { isSending, Sending } from "./sending.js";

const zone = document.querySelector(".drop-zone");
const picker = document.getElementById("files");
const list = document.querySelector(".sendings");
const where = {
  address: zone.dataset.upload,
  maxBytes: Number(zone.dataset.maxBytes) || Infinity,
  token: document.querySelector("input[name='csrfmiddlewaretoken']").value,
  news: document.getElementById("sending-news"),
};

function take(files) {
  for (const file of files) new Sending(file, list, where).wait();
}

function carriesFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

zone.classList.add("has-script");
zone.querySelector(".with-script").hidden = false;

picker.addEventListener("change", () => {
  take(picker.files);
  picker.value = ""; // the same file may be chosen again
});

// Each element that is entered and left says so; the page is left when all of them are.
let entered = 0;
window.addEventListener("dragenter", (event) => {
  if (!carriesFiles(event)) return;
  entered += 1;
  document.body.classList.add("is-dropping");
});
window.addEventListener("dragleave", (event) => {
  if (!carriesFiles(event)) return;
  entered -= 1;
  if (entered <= 0) document.body.classList.remove("is-dropping");
});
window.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault(); // else the browser would open the file instead
  event.dataTransfer.dropEffect = "copy";
});
window.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  entered = 0;
  document.body.classList.remove("is-dropping");
  take(event.dataTransfer.files);
});

document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files ?? [];
  if (!files.length) return;
  event.preventDefault();
  take(files);
});

window.addEventListener("beforeunload", (event) => {
  if (isSending()) event.preventDefault(); // the browser asks in its own words
});
