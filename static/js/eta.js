/* How fast a job goes, measured while watching it, and so how long it will take. Pure: the caller brings the clock.

   Says nothing until it has watched long enough to know. */

const WINDOW_MS = 30_000; // long enough to smooth one slow turn, short enough to notice a change
const ENOUGH_MS = 4_000; // less than this is a guess
const ENOUGH_SECONDS = 1; // of audio

export class Pace {
  #seen = [];

  /* Note that at the time `now` (ms) the job had come to `position` (seconds of audio). */
  see(position, now) {
    const last = this.#seen.at(-1);
    if (last && position < last.position) this.#seen = []; // it was tried again: what was measured is of another run
    if (last && position === last.position) return;
    this.#seen.push({ position, now });
    while (this.#seen.length > 2 && now - this.#seen[0].now > WINDOW_MS) this.#seen.shift();
  }

  forget() {
    this.#seen = [];
  }

  /* Return the seconds that are left until `duration`, or null as long as that isn't known. */
  left(duration, now) {
    const first = this.#seen[0];
    const last = this.#seen.at(-1);
    if (!first || !duration) return null;
    const took = last.now - first.now;
    const came = last.position - first.position;
    if (took < ENOUGH_MS || came < ENOUGH_SECONDS) return null;
    if (now - last.now > WINDOW_MS) return null; // it stands still: what was true then isn't now
    const speed = came / took;
    return Math.max(0, ((duration - last.position) / speed - (now - last.now)) / 1000);
  }
}
