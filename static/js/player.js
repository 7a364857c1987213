/* The player: a bar whose scrubber is the waveform, with the part that has been recognised inked. Without this
   script the browser's own controls stand in its place. */

import { faultOf } from "./faults.js";
import { whenSeekable } from "./listening.js";
import { whenMade } from "./waveform.js";
import { clock } from "./words.js";

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
  #onHear;
  #frame = 0;
  #pending = null; // { seconds, plays }: what the person asked for before the audio could be played
  #fault = null; // { plays }: the audio can't be played; whether it was to be played then

  /* `onHear(seconds, isPlaying)` is called whenever the place changes. */
  constructor(root, { onHear = () => {} } = {}) {
    this.#root = root;
    this.#audio = root.querySelector("audio");
    this.#url = this.#audio.src;
    this.#slider = root.querySelector("[role='slider']");
    this.#speed = root.querySelector("select");
    this.#duration = Number(root.dataset.duration) || 0;
    this.#onHear = onHear;
    this.#audio.controls = false;
    root.querySelector(".controls").hidden = false;
    this.#drawWaveform();
    this.#listen();
    if (this.#isCopied) this.#prepare();
    this.#show();
    if (this.#audio.error) this.#failed(); // before this script listened
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

  /* The waveform up to `seconds` is inked. */
  set recognised(seconds) {
    const part = this.#duration ? Math.min(1, seconds / this.#duration) : 0;
    this.#root.style.setProperty("--recognised", `${(part * 100).toFixed(2)}%`);
  }

  /* Go to a place without playing. */
  goTo(seconds) {
    this.#seek(seconds);
  }

  playFrom(seconds) {
    this.#seek(seconds);
    this.#play();
  }

  /* A key that was pressed outside every field. Returns whether it meant the player. */
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

  /* Keep seeks and presses of Play until the listening copy can be played from any place. */
  async #prepare() {
    const audio = this.#audio;
    const notes = this.#root.querySelectorAll("[data-preparing]");
    const showNote = (name) => notes.forEach((note) => (note.hidden = note.dataset.preparing !== name));
    this.#pending ??= { seconds: 0, plays: false };
    try {
      await whenSeekable(this.#url, (isRetry) => {
        showNote(isRetry ? "retry" : "wait");
        audio.removeAttribute("src"); // or the browser loads a copy without its index, which is of no use
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

  /* Reload the audio, then do what the person asked for meanwhile. */
  #load() {
    const { seconds, plays } = this.#pending;
    this.#pending = null;
    this.#audio.src = this.#url; // also forgets an error, and what the browser had of a copy that was not complete
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

  /* Keys on the scrubber itself, as a slider's keys are expected to be. */
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
    const place = Math.min(Math.max(0, seconds), this.#duration);
    if (this.#pending) this.#pending.seconds = place;
    else this.#audio.currentTime = place;
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
    // Refused where the file can't be played (#fail says so) or by a pause() that came at once.
    this.#audio.play().catch(() => this.#show());
  }

  #changeSpeed(by) {
    const at = SPEEDS.indexOf(this.#audio.playbackRate);
    const speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))];
    this.#audio.playbackRate = speed;
    this.#speed.value = String(speed);
  }

  /* Move with the sound, frame by frame: `timeupdate` comes only four times a second. */
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
    this.#onHear(now, this.isPlaying);
  }

  #failed() {
    if (this.#pending) return; // of a copy that was not complete, or already shown
    this.#fail({ seconds: this.#audio.currentTime, plays: !this.#audio.paused });
  }

  /* Say why the audio can't be played and offer to try again, from the place where the person was. */
  async #fail({ seconds, plays }) {
    const fault = { plays };
    this.#fault = fault;
    this.#pending = { seconds, plays: false };
    this.#show();
    const name = await faultOf(this.#audio, this.#url);
    if (this.#fault !== fault) return; // the person has tried again meanwhile
    const box = this.#root.querySelector(".fault");
    for (const part of box.querySelectorAll("[data-fault]")) {
      part.hidden = !part.dataset.fault.split(" ").includes(name);
    }
    box.hidden = false;
  }

  /* The picture is a mask: the two layers under it take the colours of the page, light or dark. */
  async #drawWaveform() {
    const address = await whenMade(this.#root.dataset.waveform);
    const picture = new Image();
    picture.addEventListener("load", () => {
      const mask = `url("${picture.src}")`;
      for (const layer of this.#slider.querySelectorAll(".wave")) layer.style.maskImage = mask;
      this.#slider.classList.add("is-drawn");
    });
    // Until then, and without it, the scrubber stays a plain line.
    picture.src = address; // in the browser's cache by now
  }
}

/* Give the player the keys, wherever the focus is, as long as they mean nothing there. */
export function watchKeys(player) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const inField = event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
    const pressesIt = event.key === " " && event.target.closest?.("button, summary");
    if (inField || pressesIt) return;
    if (player.press(event.key)) event.preventDefault();
  });
}
