/* Keeps the end of the page in view while words arrive, until the reader goes elsewhere; and the line that is
   heard, as long as the reader stays with it. */

const NEAR_END_PX = 48; // "at the end" for a finger or a wheel that stopped a little before it

export class Follow {
  #isLive = false;
  #follows = false;
  #lastY = 0;
  #pill;

  /* `growing` is the element that words are added to, `pill` the button that leads back to its end. */
  constructor(growing, pill) {
    this.#pill = pill;
    pill.addEventListener("click", () => this.#toEnd());
    window.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Before the next paint, so that nothing is seen to jump.
    new ResizeObserver(() => this.#follows && this.#isLive && this.#toEnd()).observe(growing);
  }

  /* Whether there is a live end at all. */
  set isLive(isLive) {
    this.#isLive = isLive;
    this.#scrolled(); // a page that is no longer than the window has no elsewhere
  }

  start() {
    this.#follows = true;
    this.#toEnd();
  }

  stop() {
    this.#follows = false;
    this.#show();
  }

  /* Bring the line that is heard into view if the one before it was: else the reader is elsewhere on purpose. */
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
    // Only going up is leaving: when words arrive, the end moves away from a reader who sits still.
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
