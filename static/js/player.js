/* The player bar. Its scrubber is the waveform, whose transcribed part is dark. Used by the pages of a job and of a
   recording; without this script they show the browser's own controls. */

import { faultOf } from "./faults.js";
import { whenSeekable } from "./listening.js";
import { whenMade } from "./waveform.js";
import { clock } from "./formats.js";

const STEP_SECONDS = 5;
const FAR_SECONDS = 30;
const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];

export class Player {
  #root;
  #audio;
  #url;
  #slider;
  #speed;
  #duration;
  #onPosition;
  #frame = 0;
  #pending = null; // { seconds, plays }: the position and Play state that the reader chose before the audio could play
  #fault = null; // { plays }: set while the audio can't be played; `plays`: was it playing at the error?

  /* `onPosition(seconds, isPlaying)` is called whenever the position or the state changes. */
  constructor(root, { onPosition = () => {} } = {}) {
    this.#root = root;
    this.#audio = root.querySelector("audio");
    this.#url = this.#audio.src;
    this.#slider = root.querySelector("[role='slider']");
    this.#speed = root.querySelector("select");
    this.#duration = Number(root.dataset.duration) || 0;
    this.#onPosition = onPosition;
    this.#audio.controls = false;
    root.querySelector(".controls").hidden = false;
    this.#drawWaveform();
    this.#listen();
    if (this.#isCopied) this.#prepare();
    this.#show();
    if (this.#audio.error) this.#failed(); // the error event came before this script was loaded
  }

  get isPlaying() {
    return this.#pending ? this.#pending.plays : !this.#audio.paused;
  }

  get #isCopied() {
    return this.#root.dataset.copied !== undefined;
  }

  get #now() {
    return this.#pending ? this.#pending.seconds : this.#audio.currentTime;
  }

  /* Darken the waveform up to `seconds`. */
  set transcribed(seconds) {
    const part = this.#duration ? Math.min(1, seconds / this.#duration) : 0;
    this.#root.style.setProperty("--recognised", `${(part * 100).toFixed(2)}%`);
  }

  /* Seek without playing. */
  goTo(seconds) {
    this.#seek(seconds);
  }

  playFrom(seconds) {
    this.#seek(seconds);
    this.#play();
  }

  /* Handle a key that was pressed outside every field. Returns whether the player uses that key. */
  press(key) {
    const action = {
      " ": () => this.#toggle(),
      k: () => this.#toggle(),
      j: () => this.#move(-STEP_SECONDS),
      ArrowLeft: () => this.#move(-STEP_SECONDS),
      l: () => this.#move(STEP_SECONDS),
      ArrowRight: () => this.#move(STEP_SECONDS),
      "<": () => this.#changeSpeed(-1),
      ">": () => this.#changeSpeed(1),
    }[key];
    action?.();
    return action !== undefined;
  }

  #listen() {
    const audio = this.#audio;
    const press = (name, action) => this.#root.querySelector(`[data-does='${name}']`).addEventListener("click", action);
    press("toggle", () => this.#toggle());
    press("back", () => this.#move(-STEP_SECONDS));
    press("forward", () => this.#move(STEP_SECONDS));
    press("retry", () => this.#retry(this.#fault.plays));
    this.#speed.addEventListener("change", () => (audio.playbackRate = Number(this.#speed.value)));
    audio.addEventListener("play", () => this.#run());
    for (const name of ["pause", "ended", "seeked", "timeupdate"]) audio.addEventListener(name, () => this.#show());
    audio.addEventListener("error", () => this.#failed());
    this.#slider.addEventListener("keydown", (event) => this.#slide(event));
    this.#slider.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.#slider.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    this.#slider.addEventListener("pointermove", (event) => {
      if (this.#slider.hasPointerCapture(event.pointerId)) this.#point(event);
    });
  }

  /* Store seeks and presses of Play in #pending until the browser can seek in the listening copy. */
  async #prepare() {
    const audio = this.#audio;
    const notes = this.#root.querySelectorAll("[data-preparing]");
    const showNote = (name) => notes.forEach((note) => (note.hidden = note.dataset.preparing !== name));
    this.#pending ??= { seconds: 0, plays: false };
    try {
      await whenSeekable(this.#url, (isRetry) => {
        showNote(isRetry ? "retry" : "wait");
        audio.removeAttribute("src"); // otherwise the browser would load the incomplete copy, in which it can't seek
        audio.load();
      });
    } catch {
      showNote("");
      this.#fail(this.#pending);
      return;
    }
    showNote("");
    this.#load();
  }

  /* Reload the audio, then apply the seek and the Play state in #pending. */
  #load() {
    const { seconds, plays } = this.#pending;
    this.#pending = null;
    this.#audio.src = this.#url; // also clears an error and the browser's data of an incomplete copy
    this.#audio.playbackRate = Number(this.#speed.value);
    this.#seek(seconds);
    if (plays) this.#play();
  }

  #retry(plays) {
    this.#fault = null;
    this.#root.querySelector(".fault").hidden = true;
    this.#pending.plays = plays;
    if (this.#isCopied) this.#prepare();
    else this.#load();
    this.#show();
  }

  /* Keys on the scrubber, as the ARIA slider pattern defines them. */
  #slide(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = {
      ArrowUp: () => this.#move(STEP_SECONDS),
      ArrowDown: () => this.#move(-STEP_SECONDS),
      PageUp: () => this.#move(FAR_SECONDS),
      PageDown: () => this.#move(-FAR_SECONDS),
      Home: () => this.#seek(0),
      End: () => this.#seek(this.#duration),
    }[event.key];
    if (!to) return;
    event.preventDefault();
    to();
  }

  #point(event) {
    const { left, width } = this.#slider.getBoundingClientRect();
    this.#seek(((event.clientX - left) / width) * this.#duration);
  }

  #move(seconds) {
    this.#seek(this.#now + seconds);
  }

  #seek(seconds) {
    const position = Math.min(Math.max(0, seconds), this.#duration);
    if (this.#pending) this.#pending.seconds = position;
    else this.#audio.currentTime = position;
    this.#show();
  }

  #toggle() {
    if (!this.isPlaying) this.#play();
    else if (this.#pending) this.#pending.plays = false;
    else this.#audio.pause();
    this.#show();
  }

  #play() {
    if (this.#fault) {
      this.#retry(true);
      return;
    }
    if (this.#pending) {
      this.#pending.plays = true;
      this.#show();
      return;
    }
    // play() rejects if the file can't be played, which #fail reports, or if pause() is called before playback starts.
    this.#audio.play().catch(() => this.#show());
  }

  #changeSpeed(by) {
    const at = SPEEDS.indexOf(this.#audio.playbackRate);
    const speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))];
    this.#audio.playbackRate = speed;
    this.#speed.value = String(speed);
  }

  /* Update the position every frame while playing: `timeupdate` fires only four times a second. */
  #run() {
    cancelAnimationFrame(this.#frame);
    const step = () => {
      this.#show();
      if (this.isPlaying) this.#frame = requestAnimationFrame(step);
    };
    step();
  }

  #show() {
    const now = this.#now;
    const toggle = this.#root.querySelector("[data-does='toggle']");
    const label = this.isPlaying ? "Pause" : "Play";
    if (toggle.ariaLabel !== label) {
      toggle.ariaLabel = label;
      toggle.querySelector(".is-play").toggleAttribute("hidden", this.isPlaying);
      toggle.querySelector(".is-pause").toggleAttribute("hidden", !this.isPlaying);
    }
    const text = clock(now);
    const place = this.#root.querySelector(".now");
    if (place.textContent !== text) {
      place.textContent = text;
      this.#slider.setAttribute("aria-valuenow", String(Math.floor(now)));
      this.#slider.setAttribute("aria-valuetext", `${text} of ${clock(this.#duration)}`);
    }
    const part = this.#duration ? Math.min(1, now / this.#duration) : 0;
    this.#root.style.setProperty("--played", `${(part * 100).toFixed(2)}%`);
    this.#onPosition(now, this.isPlaying);
  }

  #failed() {
    if (this.#pending) return; // an error of an incomplete copy, or one that #fail already shows
    this.#fail({ seconds: this.#audio.currentTime, plays: !this.#audio.paused });
  }

  /* Show why the audio can't be played, with a button that retries from the same position. */
  async #fail({ seconds, plays }) {
    const fault = { plays };
    this.#fault = fault;
    this.#pending = { seconds, plays: false };
    this.#show();
    const name = await faultOf(this.#audio, this.#url);
    if (this.#fault !== fault) return; // the reader retried while faultOf was waiting
    const box = this.#root.querySelector(".fault");
    for (const part of box.querySelectorAll("[data-fault]")) {
      part.hidden = !part.dataset.fault.split(" ").includes(name);
    }
    box.hidden = false;
  }

  /* The picture is a mask, so the two layers under it have the page's colours, light or dark. */
  async #drawWaveform() {
    const address = await whenMade(this.#root.dataset.waveform);
    const picture = new Image();
    picture.addEventListener("load", () => {
      const mask = `url("${picture.src}")`;
      for (const layer of this.#slider.querySelectorAll(".wave")) layer.style.maskImage = mask;
      this.#slider.classList.add("is-drawn");
    });
    // Without the picture the scrubber is a plain line.
    picture.src = address; // already in the browser's cache
  }
}

/* Pass keys to the player wherever the focus is, except in elements that use these keys themselves. */
export function watchKeys(player) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const inField = event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
    const pressesButton = event.key === " " && event.target.closest?.("button, summary");
    if (inField || pressesButton) return;
    if (player.press(event.key)) event.preventDefault();
  });
}
