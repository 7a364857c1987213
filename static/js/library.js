/* The entry module of the library. Takes files from the button, from a drop anywhere on the page and from the
   clipboard. */

import { Rows } from "./rows.js";
import { isSending, resume, Sending } from "./sending.js";
import { freshToken } from "./session.js";

const SIGN_IN_POLL_MS = 5000; // interval of the checks whether the reader has signed in again

const zone = document.querySelector(".drop-zone");
const picker = document.getElementById("files");
const list = document.querySelector(".sendings");
const target = {
  address: zone.dataset.upload,
  maxBytes: Number(zone.dataset.maxBytes) || Infinity,
  token: document.querySelector("input[name='csrfmiddlewaretoken']").value,
  news: document.getElementById("sending-news"),
  onSignedOut: waitForSignIn,
};
const rows = document.querySelector("[data-rows]");
const isSentHere = (id) => list.querySelector(`[data-upload="${CSS.escape(id)}"]`) !== null;
const live = rows && new Rows(rows, { isElsewhere: isSentHere });

function upload(files) {
  for (const file of files) new Sending(file, list, target).enqueue();
}

function carriesFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

zone.classList.add("has-script");
zone.querySelector(".with-script").hidden = false;

function uploadPicked() {
  upload(picker.files);
  picker.value = ""; // lets the reader choose the same file again
}

picker.addEventListener("change", uploadPicked);
if (picker.files.length) uploadPicked(); // chosen before this script was loaded

// Every element under the pointer fires its own dragenter and dragleave. The pointer has left the page when each
// entered element was left.
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
  event.preventDefault(); // otherwise the browser would open the file
  event.dataTransfer.dropEffect = "copy";
});
window.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  entered = 0;
  document.body.classList.remove("is-dropping");
  upload(event.dataTransfer.files);
});

document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files ?? [];
  if (!files.length) return;
  event.preventDefault();
  upload(files);
});

/* After a sign-out the chosen files stay on this page. It uploads them when the reader has signed in in another tab. */
const signedOut = document.getElementById("signed-out");
let signInPoll = null;

function waitForSignIn() {
  signedOut.hidden = false;
  signInPoll ??= setInterval(checkSignIn, SIGN_IN_POLL_MS);
}

async function checkSignIn() {
  if (signInPoll === null) return;
  const token = await freshToken();
  if (token === null || signInPoll === null) return;
  clearInterval(signInPoll);
  signInPoll = null;
  signedOut.hidden = true;
  target.token = token;
  resume();
}

window.addEventListener("focus", checkSignIn);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && checkSignIn());

/* Submitting a form marked data-stays must not leave the page while uploads run: that would cancel them. So fetch
   submits it. The capture phase comes before site.js, which disables the button of a form that leaves the page. */
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
    target.news.textContent = answer?.error ?? "Something went wrong. Try again.";
    target.news.classList.remove("visually-hidden");
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
  event.preventDefault(); // the browser shows its own warning
  // Runs only if the reader stays on the page: enable the form that would have left it.
  setTimeout(() => {
    for (const button of document.querySelectorAll("form button:disabled")) button.disabled = false;
  });
});
