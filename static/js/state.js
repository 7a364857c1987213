/* Shows a job's status on its page: the label, the progress and the available actions.

   The template contains the sentences and buttons. An element with data-for="<status> …" shows only in these statuses,
   one with data-words only while the transcript has ("some") or lacks ("none") text. */

import { STATUS_WORDS, clock, count, estimate, inWords } from "./formats.js";

export class State {
  #root;
  #conditional; // the elements with data-for or data-words
  #fills;
  #title = document.title;

  constructor(root) {
    // Queried once: show() runs for every event, and the page may have thousands of nodes.
    this.#root = root;
    this.#conditional = [...root.querySelectorAll("[data-for], [data-words]")];
    this.#fills = [...root.querySelectorAll("[data-fill]")];
  }

  /* `progress` is a Progress, `segments` the number of finals on the page; `isEmpty`: there is no partial either. */
  show(job, progress, { segments, isEmpty }) {
    const word = this.#root.querySelector(".state");
    word.dataset.status = job.status;
    write(word, STATUS_WORDS[job.status] ?? job.status);
    write(this.#root.querySelector(".detail"), detail(job, progress));
    this.#fill("reason", job.failure_reason);
    this.#fill("kept", kept(segments, job.can_retry));
    this.#fill("download", job.status === "completed" ? "Download" : "Download partial transcript");
    for (const node of this.#conditional) {
      const inState =
        (!node.dataset.for || node.dataset.for.split(" ").includes(job.status)) &&
        (node.dataset.sends !== "retry" || job.can_retry);
      const hasWords = node.dataset.words === undefined || (node.dataset.words === "none") === isEmpty;
      node.hidden = !(inState && hasWords);
    }
    document.title = title(job, progress) + this.#title;
  }

  /* Show why the server refused an action; "" hides the message. */
  showError(message) {
    const place = this.#root.querySelector(".trouble");
    write(place, message);
    place.hidden = !message;
  }

  /* Show that the job was deleted. Its transcript stays readable on the page. */
  showDeleted() {
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

/* Set the text of a node. Rewriting equal text would make screen readers repeat it and clear a selection. */
function write(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

function detail(job, progress) {
  const place = `${clock(progress.position)} of ${clock(job.duration)}`;
  switch (job.status) {
    case "queued":
      if (job.failure_reason) return job.failure_reason; // while queued: why its engine has no free slot
      return job.queue ? queuePosition(job.queue) : "Waiting to start";
    case "running": {
      const seconds = progress.secondsLeft;
      return seconds === null ? place : `${place} · ${estimate(seconds)} left`;
    }
    case "completed": {
      const long = `${clock(job.duration)} long`;
      return job.took === null ? long : `${long} · transcribed in ${inWords(job.took)}`;
    }
    default:
      return progress.position ? `at ${place}` : "";
  }
}

function queuePosition({ place, length }) {
  return place === 1 ? "Next in the queue" : `${place} of ${length} in the queue`;
}

/* Return how much of a stopped job is saved and whether to resume it; the template _kept.html writes the same. */
function kept(segments, canRetry) {
  if (!segments) return canRetry ? "Resume to try again." : ""; // below, the page says that nothing was transcribed
  const saved = segments === 1 ? "The first line is saved." : `The first ${count(segments, "line")} are saved.`;
  return canRetry ? `${saved} Resume to continue from there.` : saved;
}

function title(job, progress) {
  switch (job.status) {
    case "running":
      return `${Math.floor(progress.fraction * 100)}% · `;
    case "completed":
      return "";
    default:
      return `${STATUS_WORDS[job.status] ?? job.status} · `;
  }
}
