/* The segments on a job's page and the partial of each slot. Renders the protocol's events; does not touch the socket.
   Calls `onGap(seq)` when a final is missing after number `seq`. */

import { finalise, makeSegment, nameLanguage, nameSpeaker, writePartial, writeTime } from "./segment.js";

// Two texts that start within this interval are revisions of one: a partial and the slot's next partial, or a partial and
// the final that replaced it while the page was disconnected.
const SAME_START_SECONDS = 0.25;
// A played segment stays marked through a short pause after it, but not through a long silence.
const PAUSE_SECONDS = 2;

export class Transcript {
  /* The page has all segments up to this seq. */
  seq;

  #root;
  #language;
  #onGap;
  #rows = []; // {start, end, node, isPartial}, ordered by time, as on the page
  #slots = new Map(); // slot → the row of its partial
  #played = null;

  /* Adopt the segments that the server rendered into `root`, up to number `seq`. `language` is the job's, or "" if the
     engine detects a language for each segment. */
  constructor(root, { seq, language, onGap }) {
    this.#root = root;
    this.#language = language;
    this.#onGap = onGap;
    this.seq = seq;
    for (const node of root.querySelectorAll(".segment")) {
      const [start, end] = [Number(node.dataset.start), Number(node.dataset.end)];
      this.#rows.push({ start, end, node, isPartial: false });
      nameSpeaker(node);
    }
  }

  /* The number of segments, partials not counted. */
  get size() {
    return this.#rows.length - this.#slots.size;
  }

  get isEmpty() {
    return this.#rows.length === 0;
  }

  snapshot({ segments, partials, seq }) {
    for (const segment of segments) {
      if (segment.seq > this.seq) this.#finalise(this.#partialAt(segment.start_time), segment);
    }
    this.seq = Math.max(this.seq, seq);
    const live = new Set(partials.map((partial) => partial.slot));
    for (const slot of [...this.#slots.keys()]) {
      if (!live.has(slot)) this.#clear(slot);
    }
    for (const partial of partials) this.partial(partial);
  }

  partial(event) {
    const { slot, start_time, end_time } = event;
    let row = this.#slots.get(slot);
    if (row && (!event.text || !isSameStart(row, start_time))) {
      this.#clear(slot); // an empty partial, or one of another time: the row does not belong to it
      row = undefined;
    }
    if (!event.text) return;
    if (!row) {
      row = { start: start_time, end: end_time, node: makeSegment(), isPartial: true };
      this.#slots.set(slot, row);
    }
    row.start = start_time;
    row.end = end_time;
    this.#place(row);
    writeTime(row.node, start_time);
    writePartial(row.node, event);
    this.#name(row.node);
  }

  final({ seq, slot, segment }) {
    if (seq <= this.seq) return; // a repeated event
    if (seq > this.seq + 1) {
      this.#onGap(this.seq); // the answer to `sync` contains this final too
      return;
    }
    this.seq = seq;
    const row = this.#slots.get(slot);
    this.#slots.delete(slot);
    this.#finalise(row, segment);
  }

  /* Remove the partials of an attempt that has ended: they can't become final. */
  clearPartials() {
    for (const slot of [...this.#slots.keys()]) this.#clear(slot);
  }

  /* Mark the segment that the player plays at `seconds`, or none (null). Returns {node, before}: the node that is
     marked now and the one marked before. */
  markPlayed(seconds) {
    const row = seconds === null ? null : this.#rowAt(seconds);
    const before = this.#played;
    const node = row?.node ?? null;
    if (node !== before) {
      before?.classList.remove("played");
      node?.classList.add("played");
      this.#played = node;
    }
    return { node, before };
  }

  /* Return the start time of a node's segment in seconds, or null. */
  startOf(node) {
    return this.#rows.find((row) => row.node === node)?.start ?? null;
  }

  /* Return the text of the finals, one line each. */
  text() {
    const finals = this.#rows.filter((row) => !row.isPartial);
    return finals.map((row) => row.node.querySelector(".text").textContent).join("\n");
  }

  #finalise(row = { node: makeSegment(), isPartial: true }, segment) {
    row.start = segment.start_time;
    row.end = segment.end_time;
    row.isPartial = false;
    finalise(row.node, segment);
    this.#place(row);
    this.#name(row.node);
  }

  /* Update the speaker and language labels of a node, and of the next one, whose labels depend on it. */
  #name(node) {
    for (const each of [node, node.nextElementSibling]) {
      nameSpeaker(each);
      nameLanguage(each, this.#language);
    }
  }

  /* Move a row to its place in the order of time. A row in its place is not touched, which keeps the selection. */
  #place(row) {
    const at = this.#rows.indexOf(row);
    const isRight =
      at >= 0 && !(this.#rows[at - 1]?.start > row.start) && !(this.#rows[at + 1]?.start < row.start);
    if (isRight) return;
    if (at >= 0) this.#rows.splice(at, 1);
    let place = this.#rows.length; // searched from the end, where nearly every row belongs
    while (place > 0 && this.#rows[place - 1].start > row.start) place -= 1;
    this.#root.insertBefore(row.node, this.#rows[place]?.node ?? null);
    this.#rows.splice(place, 0, row);
  }

  #clear(slot) {
    const row = this.#slots.get(slot);
    this.#slots.delete(slot);
    this.#rows.splice(this.#rows.indexOf(row), 1);
    const next = row.node.nextElementSibling;
    row.node.remove();
    if (next) this.#name(next);
  }

  /* Return the row of the partial that became the final starting at `start` while the page was disconnected. */
  #partialAt(start) {
    for (const [slot, row] of this.#slots) {
      if (isSameStart(row, start)) {
        this.#slots.delete(slot);
        return row;
      }
    }
    return undefined;
  }

  /* Return the last row that starts at or before `seconds` (binary search), or null in a long silence. */
  #rowAt(seconds) {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#rows[middle].start <= seconds) low = middle + 1;
      else high = middle;
    }
    const row = this.#rows[low - 1];
    return row && seconds <= row.end + PAUSE_SECONDS ? row : null;
  }
}

function isSameStart(row, start) {
  return Math.abs(row.start - start) <= SAME_START_SECONDS;
}
