/* The library: files come by the button, by drop anywhere on the page, and by paste. */

import { Rows } from "./rows.js";
import { isSending, resume, Sending } from "./sending.js";
import { freshToken } from "./session.js";

const SIGN_IN_LOOK_MS = 5000; // between two looks whether the reader has signed in again

const zone = document.querySelector(".drop-zone");
const picker = document.getElementById("files");
const list = document.querySelector(".sendings");
const where = {
  address: zone.dataset.upload,
  maxBytes: Number(zone.dataset.maxBytes) || Infinity,
  token: document.querySelector("input[name='csrfmiddlewaretoken']").value,
  news: document.getElementById("sending-news"),
  onSignedOut: waitForSignIn,
};
const rows = document.querySelector("[data-rows]");
const isSentHere = (id) => list.querySelector(`[data-upload="${CSS.escape(id)}"]`) !== null;
const live = rows && new Rows(rows, { isElsewhere: isSentHere });

function take(files) {
  for (const file of files) new Sending(file, list, where).wait();
}

function carriesFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

zone.classList.add("has-script");
zone.querySelector(".with-script").hidden = false;

function takePicked() {
  take(picker.files);
  picker.value = ""; // the same file may be chosen again
}

picker.addEventListener("change", takePicked);
if (picker.files.length) takePicked(); // chosen before this script was there

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

/* The chosen files stay on this page. They are sent as soon as the reader has signed in, on another tab. */
const signedOut = document.getElementById("signed-out");
let looking = null;

function waitForSignIn() {
  signedOut.hidden = false;
  looking ??= setInterval(lookForSignIn, SIGN_IN_LOOK_MS);
}

async function lookForSignIn() {
  if (looking === null) return;
  const token = await freshToken();
  if (token === null || looking === null) return;
  clearInterval(looking);
  looking = null;
  signedOut.hidden = true;
  where.token = token;
  resume();
}

window.addEventListener("focus", lookForSignIn);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && lookForSignIn());

/* A form marked data-stays must not end the uploads by leaving the page: while there are any it is sent from here. In
   the capture phase, before site.js takes the form for one that leaves. */
document.addEventListener(
  "submit",
  (event) => {
    if (!event.target.matches("[data-stays]") || !isSending()) return;
    event.preventDefault();
    submitHere(event.target, event.submitter);
  },
  { capture: true },
);

async function submitHere(form, button) {
  button.disabled = true;
  const request = { method: "POST", headers: { Accept: "application/json" }, body: new FormData(form) };
  const response = await fetch(form.action, request).catch(() => null);
  const answer = await response?.json().catch(() => ({}));
  button.disabled = false;
  if (!response?.ok) {
    where.news.textContent = answer?.error ?? "That did not work just now. Try again.";
    where.news.classList.remove("visually-hidden");
    return;
  }
  if (form.closest(".sending") && answer.url) form.replaceWith(openLink(answer.url));
  live?.refresh();
}

function openLink(url) {
  const link = document.createElement("a");
  link.className = "button small";
  link.href = url;
  link.textContent = "Watch";
  return link;
}

window.addEventListener("beforeunload", (event) => {
  if (!isSending()) return;
  event.preventDefault(); // the browser asks in its own words
  // Runs only if the reader stays: the form that would have left the page can be used again.
  setTimeout(() => {
    for (const button of document.querySelectorAll("form button:disabled")) button.disabled = false;
  });
});
