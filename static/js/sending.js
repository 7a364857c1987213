/* The rows of files on their way: at most two are sent at once, the others wait. The markup of a row is the
   template #sending of the library. */

import { send, SendError } from "./send.js";
import { bytes } from "./words.js";

const AT_ONCE = 2; // more would only share the same line, and each would take longer

const template = document.getElementById("sending");
const waiting = [];
let busy = 0;
let isPaused = false; // until the reader has signed in again

/* Whether anything would be lost by leaving the page. */
export function isSending() {
  return busy > 0 || waiting.length > 0;
}

function next() {
  while (!isPaused && busy < AT_ONCE && waiting.length) waiting.shift().start();
}

/* Send what waited for a new sign-in. */
export function resume() {
  isPaused = false;
  next();
}

export class Sending {
  #file;
  #where; // {address, token, maxBytes, news, onSignedOut}
  #row;
  #request = null;
  #isWhole = false; // has the server all of it?
  #isUnwanted = false;

  constructor(file, list, where) {
    this.#file = file;
    this.#where = where;
    this.#row = template.content.firstElementChild.cloneNode(true);
    this.#part("name").textContent = file.name;
    this.#does("cancel").addEventListener("click", () => this.#cancel());
    this.#does("retry").addEventListener("click", () => this.wait());
    this.#does("dismiss").addEventListener("click", () => this.#row.remove());
    list.append(this.#row);
  }

  /* Take a place in the line, unless there is no use in sending it. */
  wait() {
    const refusal = this.#refusal();
    if (refusal) {
      this.#show("failed", refusal);
      this.#does("retry").hidden = true;
      return;
    }
    this.#part("progress").value = 0;
    this.#show("waiting", "waiting");
    waiting.push(this);
    next();
  }

  async start() {
    busy += 1;
    this.#isWhole = false;
    this.#show("sending", `0% of ${bytes(this.#file.size)}`);
    this.#request = send(this.#file, { ...this.#where, onProgress: (part) => this.#sent(part) });
    try {
      const answer = await this.#request.answer;
      if (this.#isUnwanted && (await this.#remove(answer))) this.#row.remove();
      else this.#done(answer);
    } catch (error) {
      if (!(error instanceof SendError)) throw error;
      if (this.#isUnwanted) {
        this.#row.remove(); // nothing was kept
        return;
      }
      if (error.isSignedOut) {
        this.#waitForSignIn();
        return;
      }
      this.#show("failed", error.message);
      this.#tell(`${this.#file.name} was not uploaded: ${error.message}`);
    } finally {
      this.#leave();
    }
  }

  /* Keep the file, and its place before the files that were chosen later. */
  #waitForSignIn() {
    isPaused = true;
    waiting.unshift(this);
    this.#part("progress").value = 0;
    this.#show("waiting", "waiting for you to sign in");
    this.#where.onSignedOut();
  }

  #refusal() {
    const { size } = this.#file;
    if (size === 0) return "This file is empty, or a folder. Choose the recordings themselves.";
    if (size > this.#where.maxBytes) {
      return `This file is ${bytes(size)}. The limit is ${bytes(this.#where.maxBytes)}. A compressed copy (M4A, MP3, OGG) is often small enough.`;
    }
    return "";
  }

  #sent(part) {
    this.#isWhole = part === 1;
    this.#part("progress").value = part;
    const share = `${Math.floor(part * 100)}% of ${bytes(this.#file.size)}`;
    this.#part("said").textContent = part < 1 ? share : "Checking the audio…";
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
      start.href = `${url}#transcribe`; // it would cost, and the recording's page says how much
    }
    this.#show("done", `Uploaded, ${bytes(this.#file.size)}`);
    this.#tell(`Uploaded ${this.#file.name}.`);
  }

  #cancel() {
    if (this.#request && this.#isWhole) {
      // The server keeps what it has whole, whether somebody waits for its answer or not.
      this.#isUnwanted = true;
      this.#part("said").textContent = "Cancelling…";
      this.#does("cancel").hidden = true;
      return;
    }
    const place = waiting.indexOf(this);
    if (place >= 0) waiting.splice(place, 1);
    this.#request?.cancel();
    this.#leave();
    this.#row.remove();
  }

  /* Take back what the server has stored. Returns whether it is gone. */
  async #remove({ url }) {
    const headers = { Accept: "application/json", "X-CSRFToken": this.#where.token };
    const response = await fetch(`${url}delete/`, { method: "POST", headers }).catch(() => null);
    return Boolean(response?.ok);
  }

  /* Make room for the next one. A request that was cancelled neither answers nor fails, so this is called for it
     too, and once only. */
  #leave() {
    if (this.#request) busy -= 1;
    this.#request = null;
    next();
  }

  #show(state, said) {
    this.#row.dataset.state = state;
    this.#part("said").textContent = said;
    this.#does("cancel").hidden = state === "failed" || state === "done";
    this.#does("retry").hidden = state !== "failed";
    this.#does("dismiss").hidden = state !== "failed";
    this.#does("transcribe").hidden = state !== "done";
  }

  #tell(news) {
    this.#where.news.textContent = news;
  }

  #part(name) {
    return this.#row.querySelector(`.${name}, ${name}`);
  }

  #does(name) {
    return this.#row.querySelector(`[data-does='${name}']`);
  }
}

/* A name for the job that a press starts, so that a press that is sent twice starts one. Not `crypto.randomUUID`:
   browsers have that only on https and on one's own machine. */
function requestId() {
  const chance = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(chance, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
