/* The WebSocket of a page that watches a job or a list. Connects, reconnects with backoff and detects a silent
   connection. Does not touch the DOM and does not interpret messages.

   `query()` is called at each connection and for each `sync`. It returns the position of the page (`after`: the seq
   of its last segment) or its rows (`ids`), so that the server's snapshot contains only the missing part. */

const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 10_000;
const ANSWER_MS = 10_000; // timeout of a handshake and of an answer to `sync`

// Close codes after which a reconnect would be refused again.
const FINAL_CODES = new Set([1008, 4401, 4404]);
const SIGNED_OUT = 4401; // also sent once after a password change, although the browser's new session is valid

export class Socket {
  /* Milliseconds without a message before the page checks the connection with a `sync`. */
  quietMs = 25_000;

  #path;
  #query;
  #onEvent;
  #onState;
  #socket = null;
  #timer = null; // one at a time: backoff, handshake timeout, silence or answer timeout
  #failures = 0;
  #wasSignedOut = false;
  #ended = false;

  /* `onEvent(object)` gets every message; `onState(state, code)` gets "connecting", "open", "waiting" (will
     reconnect) or "ended" (will not reconnect) with the close code. */
  constructor(path, { query, onEvent, onState }) {
    this.#path = path;
    this.#query = query;
    this.#onEvent = onEvent;
    this.#onState = onState;
    window.addEventListener("online", () => this.#checkNow());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#checkNow());
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    if (this.#socket || this.#ended) return;
    clearTimeout(this.#timer);
    const url = new URL(this.#path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    for (const [name, value] of Object.entries(this.#query())) url.searchParams.set(name, value);
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#onState("connecting");
    this.#timer = setTimeout(() => this.#lost(socket), ANSWER_MS);
    // An abandoned socket may still fire events. Each handler ignores those of a socket that is not the current one.
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#onState("open");
      this.#restartSilence();
    };
    socket.onmessage = (message) => {
      if (socket !== this.#socket) return;
      this.#failures = 0;
      this.#wasSignedOut = false;
      this.#restartSilence();
      this.#onEvent(JSON.parse(message.data));
    };
    socket.onclose = (event) => this.#lost(socket, event.code);
  }

  /* Send a message if the socket is open. Returns whether it was. */
  send(message) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  sync() {
    return this.send({ type: "sync", ...this.#query() });
  }

  /* Close for good. */
  end() {
    this.#ended = true;
    this.#drop();
    this.#onState("ended", 1000);
  }

  /* Restart the timer that detects silence. */
  #restartSilence() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#probe(), this.quietMs);
  }

  #probe() {
    const socket = this.#socket;
    this.sync();
    this.#timer = setTimeout(() => this.#lost(socket), ANSWER_MS);
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#drop();
    const isNewlySignedOut = code === SIGNED_OUT && !this.#wasSignedOut;
    this.#wasSignedOut ||= isNewlySignedOut;
    if (FINAL_CODES.has(code) && !isNewlySignedOut) {
      this.#ended = true;
      this.#onState("ended", code);
      return;
    }
    // Random backoff, between half and the whole of the limit: viewers must not all reconnect at once after a restart.
    const limit = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.open(), limit * (0.5 + Math.random() / 2));
    this.#onState("waiting", code);
  }

  /* The network or the reader is back: reconnect or check the connection now instead of after the timer. */
  #checkNow() {
    if (this.#socket === null) this.open();
    else if (this.isOpen) {
      clearTimeout(this.#timer);
      this.#probe(); // the connection may have failed while the computer slept
    }
  }
}
