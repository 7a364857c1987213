/* The list of segments on the page, and the partial of each slot. Knows no socket: gets the protocol's events,
   and says through `onGap(seq)` that something between was lost. */

import { makeSegment, nameLanguage, nameSpeaker, settle, writePartial, writeTime } from "./segment.js";

// What is being revised begins at the same place, give or take: a partial and the next of its slot, a partial and
// the segment that came of it while we were away.
const SAME_START_SECONDS = 0.25;
// A line stays marked through the pause after it, but not through a long silence.
const PAUSE_SECONDS = 2;

export class Transcript {
  /* The seq of the last segment on the page, with none missing before it. */
  seq;

  #root;
  #language;
  #onGap;
  #rows = []; // {start, end, node, isPartial}, in the order of time, as on the page
  #slots = new Map(); // the row of the partial of each slot
  #heard = null;

  /* Take over the segments that the server wrote into `root`, the last of them number `seq`; `language` is the
     job's, or "" where each segment may be in its own. */
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
      if (segment.seq > this.seq) this.#settle(this.#partialAt(segment.start_time), segment);
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
      this.#clear(slot); // other words, somewhere else, or none: nothing of the row is theirs
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
    if (seq <= this.seq) return; // told twice
    if (seq > this.seq + 1) {
      this.#onGap(this.seq); // the answer brings this one too
      return;
    }
    this.seq = seq;
    const row = this.#slots.get(slot);
    this.#slots.delete(slot);
    this.#settle(row, segment);
  }

  /* Take away the partials: the job doesn't run any more, and they will not become final. */
  clearPartials() {
    for (const slot of [...this.#slots.keys()]) this.#clear(slot);
  }

  /* Mark the segment that is heard at `seconds`, or none (null). Returns {node, before}: the nodes that are
     marked now and were before. */
  hear(seconds) {
    const row = seconds === null ? null : this.#rowAt(seconds);
    const before = this.#heard;
    const node = row?.node ?? null;
    if (node !== before) {
      before?.classList.remove("heard");
      node?.classList.add("heard");
      this.#heard = node;
    }
    return { node, before };
  }

  /* Return where the segment of a node begins, or null. */
  startOf(node) {
    return this.#rows.find((row) => row.node === node)?.start ?? null;
  }

  /* Return what was said, a line a segment, partials left out. */
  text() {
    const finals = this.#rows.filter((row) => !row.isPartial);
    return finals.map((row) => row.node.querySelector(".text").textContent).join("\n");
  }

  #settle(row = { node: makeSegment(), isPartial: true }, segment) {
    row.start = segment.start_time;
    row.end = segment.end_time;
    row.isPartial = false;
    settle(row.node, segment);
    this.#place(row);
    this.#name(row.node);
  }

  /* Name who speaks and the language at a node, and at the next, which may go on with either. */
  #name(node) {
    for (const each of [node, node.nextElementSibling]) {
      nameSpeaker(each);
      nameLanguage(each, this.#language);
    }
  }

  /* Put a row where its time wants it; one that stands right isn't touched. */
  #place(row) {
    const at = this.#rows.indexOf(row);
    const isRight =
      at >= 0 && !(this.#rows[at - 1]?.start > row.start) && !(this.#rows[at + 1]?.start < row.start);
    if (isRight) return;
    if (at >= 0) this.#rows.splice(at, 1);
    let place = this.#rows.length; // from the end: that is where nearly all belong
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

  /* Find the partial that became a segment while nobody told us; it gives its node. */
  #partialAt(start) {
    for (const [slot, row] of this.#slots) {
      if (isSameStart(row, start)) {
        this.#slots.delete(slot);
        return row;
      }
    }
    return undefined;
  }

  /* The last row that begins at or before `seconds`, by halving. */
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
