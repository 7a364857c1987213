/* Estimates a job's remaining time from the progress seen on this page. No clock: callers pass the current time.

   Returns no estimate until it has seen enough progress for one. */

const WINDOW_MS = 30_000; // long enough to smooth one slow turn of the engine, short enough to follow a change of speed
const MIN_ELAPSED_MS = 4_000; // a shorter measurement would be a guess
const MIN_PROGRESS_SECONDS = 1; // of audio

export class Eta {
  #samples = []; // {position, now}, oldest first, no older than the window

  /* Record that at the time `now` (ms) the job had reached `position` (seconds of audio). */
  record(position, now) {
    const last = this.#samples.at(-1);
    if (last && position < last.position) this.#samples = []; // a new attempt: the old measurements don't apply to it
    if (last && position === last.position) return;
    this.#samples.push({ position, now });
    while (this.#samples.length > 2 && now - this.#samples[0].now > WINDOW_MS) this.#samples.shift();
  }

  reset() {
    this.#samples = [];
  }

  /* Return the seconds until the job reaches `duration`, or null while that can't be estimated. */
  secondsLeft(duration, now) {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !duration) return null;
    const elapsed = last.now - first.now;
    const progress = last.position - first.position;
    if (elapsed < MIN_ELAPSED_MS || progress < MIN_PROGRESS_SECONDS) return null;
    if (now - last.now > WINDOW_MS) return null; // no progress for that long: the measured speed is out of date
    const speed = progress / elapsed;
    return Math.max(0, ((duration - last.position) / speed - (now - last.now)) / 1000);
  }
}
