/* Shows a job's state on its page: the word and the dot, how far it is, and what can be done now.

   The template holds all sentences and buttons; those marked data-for="<status> …" show in these states, those
   marked data-words only with a transcript that has ("some") or lacks ("none") words. */

import { STATUS_WORDS, clock, count, left, length } from "./words.js";

export class State {
  #root;
  #depending; // what shows in some states only
  #fills;
  #title = document.title;

  constructor(root) {
    // Looked up once: show() is called with every event, and the transcript may have thousands of nodes.
    this.#root = root;
    this.#depending = [...root.querySelectorAll("[data-for], [data-words]")];
    this.#fills = [...root.querySelectorAll("[data-fill]")];
  }

  /* `progress` is a Progress, `segments` the number on the page, `isEmpty` whether not even a partial is there. */
  show(job, progress, { segments, isEmpty }) {
    const word = this.#root.querySelector(".state");
    word.dataset.status = job.status;
    write(word, STATUS_WORDS[job.status] ?? job.status);
    write(this.#root.querySelector(".detail"), detail(job, progress));
    this.#fill("reason", job.failure_reason);
    this.#fill("kept", kept(segments, job.can_retry));
    this.#fill("so-far", job.status === "completed" ? "" : " so far");
    for (const node of this.#depending) {
      const inState =
        (!node.dataset.for || node.dataset.for.split(" ").includes(job.status)) &&
        (node.dataset.sends !== "retry" || job.can_retry);
      const hasWords = node.dataset.words === undefined || (node.dataset.words === "none") === isEmpty;
      node.hidden = !(inState && hasWords);
    }
    document.title = title(job, progress) + this.#title;
  }

  /* Say what the server refused, where the reader is looking; "" takes it away. */
  trouble(message) {
    const place = this.#root.querySelector(".trouble");
    write(place, message);
    place.hidden = !message;
  }

  /* The job is no more: what is on the page can still be read. */
  gone() {
    this.#root.classList.add("is-gone");
    this.#root.querySelector(".state").dataset.status = "cancelled";
    write(this.#root.querySelector(".state"), "Deleted");
    write(this.#root.querySelector(".detail"), "");
    for (const node of this.#root.querySelectorAll("[data-for], [data-needs-job]")) node.hidden = true;
    document.title = `Deleted · ${this.#title}`;
  }

  #fill(name, text) {
    for (const node of this.#fills) {
      if (node.dataset.fill === name) write(node, text);
    }
  }
}

/* The same text again would be announced, and end a selection. */
function write(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

function detail(job, progress) {
  const place = `${clock(progress.position)} of ${clock(job.duration)}`;
  switch (job.status) {
    case "queued":
      if (job.failure_reason) return job.failure_reason; // an engine that has no room says so itself
      return job.queue ? turn(job.queue) : "Waiting to start";
    case "running": {
      const seconds = progress.left;
      return seconds === null ? place : `${place} · ${left(seconds)}`;
    }
    case "completed": {
      const long = `${clock(job.duration)} long`;
      return job.took === null ? long : `${long} · transcribed in ${length(job.took)}`;
    }
    default:
      return progress.position ? `at ${place}` : "";
  }
}

function turn({ place, length }) {
  return place === 1 ? "Next in the queue" : `${place} of ${length} in the queue`;
}

/* What is safe after a job has stopped. */
function kept(segments, canRetry) {
  if (!segments) return "Nothing was transcribed.";
  const saved = segments === 1 ? "The first line is saved." : `The first ${count(segments, "line")} are saved.`;
  return canRetry ? `${saved} Resume to continue from there.` : saved;
}

function title(job, progress) {
  switch (job.status) {
    case "running":
      return `${Math.floor(progress.part * 100)}% · `;
    case "completed":
      return "";
    default:
      return `${STATUS_WORDS[job.status] ?? job.status} · `;
  }
}
