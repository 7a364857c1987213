/* A job's progress: the furthest position that any event has named, and the estimated time that is left. */

import { Eta } from "./eta.js";

export class Progress {
  position = 0;

  #duration = 0;
  #attempt = "";
  #eta = new Eta();

  /* Record the position of a job object. Within one attempt the position never decreases: a status event may be older
     than the segments on the page. */
  recordJob(job) {
    const attempt = `${job.status} ${job.started_at}`;
    if (attempt !== this.#attempt) {
      this.#attempt = attempt;
      this.position = 0;
      this.#eta.reset();
    }
    this.#duration = job.duration;
    this.record(job.position);
  }

  record(position) {
    this.position = Math.min(Math.max(this.position, position), this.#duration || position);
    this.#eta.record(this.position, performance.now());
  }

  /* The finished part of the job, 0 to 1. */
  get fraction() {
    return this.#duration ? this.position / this.#duration : 0;
  }

  /* Return the seconds that are left, or null while that can't be estimated. */
  get secondsLeft() {
    return this.#eta.secondsLeft(this.#duration, performance.now());
  }
}
