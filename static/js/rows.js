/* Keeps the rows of a list ([data-rows]) as the server has them: the library, the history, a recording's transcripts.

   The socket says what changed. A percentage and the newest words are written in place. For anything else the page is
   fetched again and the rows that differ are exchanged, so that only the server knows how a row looks. */

import { say } from "./times.js";
import { Socket } from "./socket.js";
import { whenMade } from "./waveform.js";

const REFRESH_MS = 1000; // at least, between two times that the page is fetched
const QUIET_MS = 60_000; // a list at rest is sent nothing

export class Rows {
  #list;
  #isElsewhere;
  #statuses = new Map(); // of each job that was seen
  #socket;
  #timer = null;
  #isRefreshing = false;

  /* `isElsewhere(id)` tells of a recording that the page shows in another place, so that it gets no row here. */
  constructor(list, { isElsewhere = () => false } = {}) {
    this.#list = list;
    this.#isElsewhere = isElsewhere;
    for (const state of list.querySelectorAll(".state[data-job]")) {
      this.#statuses.set(state.dataset.job, state.dataset.status);
    }
    this.#socket = new Socket("/ws/library/", {
      query: () => ({ ids: this.#ids().join(",") }),
      onEvent: (event) => this.#receive(event),
      onState: () => {},
    });
    this.#drawThumbs();
    this.#socket.quietMs = QUIET_MS;
    this.#socket.open();
  }

  /* Fetch the page again soon, and exchange the rows that differ. */
  refresh() {
    this.#timer ??= setTimeout(() => this.#refresh(), REFRESH_MS);
  }

  /* The recordings or jobs of the rows; a page of one recording names it, so that it learns of new jobs. */
  #ids() {
    const { watch } = this.#list.dataset;
    return watch ? [watch] : [...this.#list.children].map((row) => row.dataset.row);
  }

  /* Show waveforms that were not made yet when the page was. */
  #drawThumbs() {
    for (const thumb of this.#list.querySelectorAll("img[data-flat]")) {
      delete thumb.dataset.flat;
      // The fragment makes it another address: the browser may keep the flat line of the old one.
      whenMade(thumb.src).then((address) => (thumb.src = `${address}#made`));
    }
  }

  #receive(event) {
    switch (event.type) {
      case "snapshot":
        this.#takeAll(event);
        break;
      case "job":
        this.#take(event.job);
        break;
      case "words":
        this.#write(event.job, event.text);
        break;
      case "upload":
      case "removed":
        this.refresh();
        break;
      default: // an error, or a type that only a newer server knows
    }
  }

  #takeAll({ uploads, jobs }) {
    const found = new Set([...uploads, ...jobs].map(({ id }) => id));
    if (this.#ids().some((id) => !found.has(id))) this.refresh(); // deleted meanwhile
    for (const job of jobs) {
      // Older jobs of a recording are not on the page; one that is active and is not there, is new.
      const isActive = job.status === "queued" || job.status === "running";
      if (!isActive && !this.#statuses.has(job.id)) this.#statuses.set(job.id, job.status);
      this.#take(job);
    }
  }

  #take(job) {
    if (this.#statuses.get(job.id) !== job.status) {
      this.#statuses.set(job.id, job.status);
      this.refresh();
    }
    const percent = this.#state(job.id)?.querySelector(".percent");
    if (percent && job.duration) percent.textContent = `${Math.floor((job.position / job.duration) * 100)}%`;
  }

  #write(jobId, text) {
    const place = this.#state(jobId)?.closest("[data-row]").querySelector(".last-words");
    if (!place) return;
    place.textContent = text;
    place.hidden = false;
  }

  #state(jobId) {
    return this.#list.querySelector(`.state[data-job="${CSS.escape(jobId)}"]`);
  }

  async #refresh() {
    if (this.#isRefreshing) return; // its end looks whether another is due
    this.#isRefreshing = true;
    this.#timer = null;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (response.ok && !response.redirected) this.#exchange(await response.text());
    } catch {
      // No network: the socket notices as well, and its next snapshot leads here again.
    }
    this.#isRefreshing = false;
  }

  #exchange(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-rows]");
    if (!fresh) {
      this.#list.replaceChildren(); // the last row was deleted; a page without any looks otherwise
      return;
    }
    say(fresh);
    const rows = [...fresh.children];
    const ids = new Set(rows.map((row) => row.dataset.row));
    const before = new Map();
    for (const row of [...this.#list.children]) {
      if (ids.has(row.dataset.row)) before.set(row.dataset.row, row);
      else row.remove();
    }
    let place = null;
    for (const row of rows) {
      const old = before.get(row.dataset.row);
      if (!old && this.#isElsewhere(row.dataset.row)) continue;
      if (old && isBusy(old)) this.refresh();
      const shown = old && (isSame(old, row) || isBusy(old)) ? old : document.adoptNode(row);
      if (shown !== old) exchange(old, shown);
      const next = place ? place.nextElementSibling : this.#list.firstElementChild;
      // A row that stands right is not moved: that would take the focus from it.
      if (shown !== next) this.#list.insertBefore(shown, next);
      place = shown;
    }
    this.#drawThumbs();
    this.#socket.sync(); // the rows may be others now
  }
}

/* The reader is using the menu or the rename form of this row. */
function isBusy(row) {
  return row.querySelector("details[open], .rename:not([hidden])") !== null;
}

function isSame(old, row) {
  const [was, is] = [old, row].map((each) => each.querySelector(".state"));
  return (
    was?.dataset.job === is?.dataset.job && was?.dataset.status === is?.dataset.status && shownText(old) === shownText(row)
  );
}

/* The text of a row without the parts that the socket keeps up to date. */
function shownText(row) {
  const copy = row.cloneNode(true);
  for (const part of copy.querySelectorAll(".percent, .last-words, .renamed")) part.remove();
  return copy.textContent.replaceAll(/\s+/g, " ");
}

/* Put a row in the place of another; the focus stays at the same link or button. */
function exchange(old, row) {
  if (!old) return;
  const targets = (each) => [...each.querySelectorAll("a, button, summary")];
  const focused = targets(old).indexOf(document.activeElement);
  old.replaceWith(row);
  if (focused >= 0) targets(row)[focused]?.focus();
}
