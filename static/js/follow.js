/* Scrolls a job's page: keeps its end in view while segments arrive, until the reader scrolls up. During playback it
   keeps the played segment in view, unless the reader has scrolled away from it. */

const NEAR_END_PX = 48; // a finger or a wheel that stops this close to the end counts as at the end

export class Follow {
  #isLive = false;
  #follows = false;
  #lastY = 0;
  #pill;

  /* `growing` is the element that grows at its end, `pill` the button that scrolls back to that end. */
  constructor(growing, pill) {
    this.#pill = pill;
    pill.addEventListener("click", () => this.#toEnd());
    window.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // The observer runs before the next paint, so the reader sees no jump.
    new ResizeObserver(() => this.#follows && this.#isLive && this.#toEnd()).observe(growing);
  }

  /* Set while the job is active: only then the page grows and shows the pill. */
  set isLive(isLive) {
    this.#isLive = isLive;
    this.#scrolled(); // a page that fits into the window fires no scroll event
  }

  start() {
    this.#follows = true;
    this.#toEnd();
  }

  stop() {
    this.#follows = false;
    this.#show();
  }

  /* Scroll to the played segment if the one before it was in view. Otherwise the reader has scrolled away on purpose. */
  reveal(node, before) {
    if (!node || (before && !isInView(before))) return;
    node.scrollIntoView({ block: "nearest" });
  }

  #toEnd() {
    this.#follows = true;
    window.scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    this.#show();
  }

  #scrolled() {
    const y = window.scrollY;
    const isAtEnd = y + window.innerHeight >= document.documentElement.scrollHeight - NEAR_END_PX;
    // Only scrolling up stops following: new segments also move the end away from a reader who does not scroll.
    if (isAtEnd) this.#follows = true;
    else if (y < this.#lastY) this.#follows = false;
    this.#lastY = y;
    this.#show();
  }

  #show() {
    this.#pill.hidden = !this.#isLive || this.#follows;
  }
}

function isInView(node) {
  const { top, bottom } = node.getBoundingClientRect();
  return bottom > 0 && top < window.innerHeight;
}
