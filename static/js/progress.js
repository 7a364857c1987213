/* How far a job is: the furthest place that any event has named, and the time that is left. */

import { Pace } from "./eta.js";

export class Progress {
  position = 0;

  #duration = 0;
  #run = "";
  #pace = new Pace();

  /* Note what a job object says. Within one run the place only grows: a state may be older than the words. */
  seeJob(job) {
    const run = `${job.status} ${job.started_at}`;
    if (run !== this.#run) {
      this.#run = run;
      this.position = 0;
      this.#pace.forget();
    }
    this.#duration = job.duration;
    this.see(job.position);
  }

  see(position) {
    this.position = Math.min(Math.max(this.position, position), this.#duration || position);
    this.#pace.see(this.position, performance.now());
  }

  get part() {
    return this.#duration ? this.position / this.#duration : 0;
  }

  /* Seconds, or null as long as that isn't known. */
  get left() {
    return this.#pace.left(this.#duration, performance.now());
  }
}
