/* Keeps the rows of a list ([data-rows]) up to date: the library, the history and a recording's transcripts.

   The socket reports changes. The script writes a percentage and the newest words in place. After any other change it
   fetches the page again and replaces the rows that differ, so only the server's templates define a row. */

import { formatMoments } from "./times.js";
import { Socket } from "./socket.js";
import { whenMade } from "./waveform.js";

const REFRESH_MS = 1000; // minimum interval between two fetches of the page
const QUIET_MS = 60_000; // the server sends nothing while no row changes

export class Rows {
  #list;
  #isElsewhere;
  #statuses = new Map(); // job id → the last known status
  #socket;
  #timer = null;
  #isRefreshing = false;

  /* `isElsewhere(id)` returns whether the page shows that recording outside the list, which then has no row for it. */
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

  /* Fetch the page within a second, and replace the rows that differ. */
  refresh() {
    this.#timer ??= setTimeout(() => this.#refresh(), REFRESH_MS);
  }

  /* The ids of the rows' recordings or jobs. A recording's page subscribes to the recording, to learn of new jobs. */
  #ids() {
    const { watch } = this.#list.dataset;
    return watch ? [watch] : [...this.#list.children].map((row) => row.dataset.row);
  }

  /* Load the waveforms that the server had not made yet when it rendered the page. */
  #drawThumbs() {
    for (const thumb of this.#list.querySelectorAll("img[data-flat]")) {
      delete thumb.dataset.flat;
      // The fragment changes the address: for the old one the browser may reuse the flat line.
      whenMade(thumb.src).then((address) => (thumb.src = `${address}#made`));
    }
  }

  #receive(event) {
    switch (event.type) {
      case "snapshot":
        this.#applySnapshot(event);
        break;
      case "job":
        this.#apply(event.job);
        break;
      case "words":
        this.#write(event.job, event.text);
        break;
      case "upload":
      case "removed":
        this.refresh();
        break;
      default: // an error, or a type of a newer server: ignored
    }
  }

  #applySnapshot({ uploads, jobs }) {
    const found = new Set([...uploads, ...jobs].map(({ id }) => id));
    if (this.#ids().some((id) => !found.has(id))) this.refresh(); // deleted since the page was rendered
    for (const { id, name } of uploads) {
      const shown = this.#list.querySelector(`[data-row="${CSS.escape(id)}"] [data-name]`)?.dataset.name;
      if (shown !== undefined && shown !== name) this.refresh(); // renamed since the page was rendered
    }
    for (const job of jobs) {
      // The library shows one job of each recording, so an unknown job that has ended is an older one. An unknown active
      // job is new.
      const isActive = job.status === "queued" || job.status === "running";
      if (!isActive && !this.#statuses.has(job.id)) this.#statuses.set(job.id, job.status);
      this.#apply(job);
    }
  }

  #apply(job) {
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
    this.#timer = null;
    if (this.#isRefreshing) {
      this.refresh(); // one fetch at a time: try again in a second, because this change may be newer than the fetch
      return;
    }
    this.#isRefreshing = true;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (response.ok && !response.redirected) this.#replaceRows(await response.text());
    } catch {
      // No network: the socket reconnects later, and its snapshot triggers the next refresh.
    }
    this.#isRefreshing = false;
  }

  #replaceRows(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-rows]");
    if (!fresh) {
      this.#list.replaceChildren(); // the last row was deleted: a page without rows has no list
      return;
    }
    formatMoments(fresh);
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
      if (shown !== old) replaceRow(old, shown);
      const next = place ? place.nextElementSibling : this.#list.firstElementChild;
      // Don't move a row that is already in its place: moving would remove the focus from it.
      if (shown !== next) this.#list.insertBefore(shown, next);
      place = shown;
    }
    this.#drawThumbs();
    this.#socket.sync(); // subscribe to the new rows
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

/* Replace a row by a newer one and keep the focus on the same link or button. */
function replaceRow(old, row) {
  if (!old) return;
  const targets = (each) => [...each.querySelectorAll("a, button, summary")];
  const focused = targets(old).indexOf(document.activeElement);
  old.replaceWith(row);
  if (focused >= 0) targets(row)[focused]?.focus();
}
