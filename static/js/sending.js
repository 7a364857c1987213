/* The queue of uploads and its rows in the library. At most two uploads run at once. The markup of a row is the
   library's template #sending. */

import { send, SendError } from "./send.js";
import { size } from "./formats.js";

const MAX_CONCURRENT = 2; // more uploads would share the same bandwidth, and each would take longer

const template = document.getElementById("sending");
const waiting = [];
let running = 0;
let isPaused = false; // until the reader has signed in again

/* Return whether leaving the page would cancel an upload. */
export function isSending() {
  return running > 0 || waiting.length > 0;
}

function startNext() {
  while (!isPaused && running < MAX_CONCURRENT && waiting.length) waiting.shift().start();
}

/* Continue the queue after a sign-in. */
export function resume() {
  isPaused = false;
  startNext();
}

export class Sending {
  #file;
  #target; // {address, token, maxBytes, news, onSignedOut}
  #row;
  #request = null;
  #isReceived = false; // has the server received the whole file?
  #isCancelled = false;

  constructor(file, list, target) {
    this.#file = file;
    this.#target = target;
    this.#row = template.content.firstElementChild.cloneNode(true);
    this.#part("name").textContent = file.name;
    this.#does("cancel").addEventListener("click", () => this.#cancel());
    this.#does("retry").addEventListener("click", () => this.enqueue());
    this.#does("dismiss").addEventListener("click", () => this.#row.remove());
    list.append(this.#row);
  }

  /* Queue the file, or show why the server would refuse it. */
  enqueue() {
    const refusal = this.#refusal();
    if (refusal) {
      this.#show("failed", refusal);
      this.#does("retry").hidden = true;
      return;
    }
    this.#part("progress").value = 0;
    this.#show("waiting", "Waiting");
    waiting.push(this);
    startNext();
  }

  async start() {
    running += 1;
    this.#isReceived = false;
    this.#show("sending", `0% of ${size(this.#file.size)}`);
    this.#request = send(this.#file, { ...this.#target, onProgress: (fraction) => this.#showProgress(fraction) });
    try {
      const answer = await this.#request.answer;
      if (this.#isCancelled && (await this.#deleteStored(answer))) this.#row.remove();
      else this.#done(answer);
    } catch (error) {
      if (!(error instanceof SendError)) throw error;
      if (this.#isCancelled) {
        this.#row.remove(); // the server stored nothing
        return;
      }
      if (error.isSignedOut) {
        this.#waitForSignIn();
        return;
      }
      this.#show("failed", error.message);
      this.#announce(`${this.#file.name} was not uploaded: ${error.message}`);
    } finally {
      this.#release();
    }
  }

  /* Put the file back at the front of the queue, before files that were chosen later. */
  #waitForSignIn() {
    isPaused = true;
    waiting.unshift(this);
    this.#part("progress").value = 0;
    this.#show("waiting", "Waiting for you to sign in");
    this.#target.onSignedOut();
  }

  #refusal() {
    const { size: total } = this.#file;
    if (total === 0) return "This file is empty or a folder. Choose audio or video files.";
    if (total > this.#target.maxBytes) {
      return `This file is ${size(total)}. The limit is ${size(this.#target.maxBytes)}. A compressed copy (M4A, MP3, OGG) is often small enough.`;
    }
    return "";
  }

  #showProgress(fraction) {
    this.#isReceived = fraction === 1;
    this.#part("progress").value = fraction;
    const share = `${Math.floor(fraction * 100)}% of ${size(this.#file.size)}`;
    this.#part("detail").textContent = fraction < 1 ? share : "Checking the audio…";
  }

  #done({ id, url }) {
    this.#row.dataset.upload = id;
    const link = document.createElement("a");
    link.className = "name";
    link.href = url;
    link.textContent = this.#file.name;
    this.#part("name").replaceWith(link);
    const start = this.#does("transcribe");
    if (start instanceof HTMLFormElement) {
      start.action = `${url}jobs/`;
      start.elements.request_id.value = requestId();
    } else {
      start.href = `${url}#transcribe`; // transcribing costs money; the recording's page shows the price first
    }
    this.#show("done", `Uploaded, ${size(this.#file.size)}`);
    this.#announce(`Uploaded ${this.#file.name}.`);
  }

  #cancel() {
    if (this.#request && this.#isReceived) {
      // The server stores a file that it has received, even if the client aborts the request. start() deletes it later.
      this.#isCancelled = true;
      this.#part("detail").textContent = "Cancelling…";
      this.#does("cancel").hidden = true;
      return;
    }
    const place = waiting.indexOf(this);
    if (place >= 0) waiting.splice(place, 1);
    this.#request?.cancel();
    this.#release();
    this.#row.remove();
  }

  /* Delete the stored recording. Returns whether that worked. */
  async #deleteStored({ url }) {
    const headers = { Accept: "application/json", "X-CSRFToken": this.#target.token };
    const response = await fetch(`${url}delete/`, { method: "POST", headers }).catch(() => null);
    return Boolean(response?.ok);
  }

  /* Free this upload's place and start the next one. #cancel calls it too, because an aborted request never settles.
     `#request` is null after the first call, so the place is freed once. */
  #release() {
    if (this.#request) running -= 1;
    this.#request = null;
    startNext();
  }

  #show(state, text) {
    this.#row.dataset.state = state;
    this.#part("detail").textContent = text;
    this.#does("cancel").hidden = state === "failed" || state === "done";
    this.#does("retry").hidden = state !== "failed";
    this.#does("dismiss").hidden = state !== "failed";
    this.#does("transcribe").hidden = state !== "done";
  }

  #announce(news) {
    this.#target.news.textContent = news;
  }

  #part(name) {
    return this.#row.querySelector(`.${name}, ${name}`);
  }

  #does(name) {
    return this.#row.querySelector(`[data-does='${name}']`);
  }
}

/* Return a new request_id, so that submitting the form twice starts one job. Not `crypto.randomUUID`, which browsers
   have only on https and on localhost. */
function requestId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
