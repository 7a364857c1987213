/* The connection of a page that watches a job or a list: connects, comes back, notices silence. Knows no DOM and no
   event but "something came". `query()` is called at each connection and for each `sync`: it says where the page is
   (`after`: the seq of its last segment) or what it shows (`ids`), so that the first message is what it lacks. */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const ANSWER_MS = 10_000; // a handshake or an answer that takes longer won't come

// Codes after which trying again would get the same answer.
const FINAL_CODES = new Set([1008, 4401, 4404]);
const SIGNED_OUT = 4401; // or signed in anew: a new password ends the sockets of this browser too, once

export class Socket {
  /* Milliseconds without a message before the server is asked for a sign of life. */
  quietMs = 25_000;

  #path;
  #query;
  #onEvent;
  #onState;
  #socket = null;
  #timer = null; // one at a time: waiting to connect, for the handshake, for silence to end, or for an answer
  #failures = 0;
  #wasSignedOut = false;
  #ended = false;

  /* `onEvent(object)` gets every message; `onState(state, code)` gets "connecting", "open", "waiting" (will try
     again) or "ended" (won't) with the close code. */
  constructor(path, { query, onEvent, onState }) {
    this.#path = path;
    this.#query = query;
    this.#onEvent = onEvent;
    this.#onState = onState;
    window.addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
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
    // A socket that was given up may still speak: each handler first asks whether it is still ours.
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#onState("open");
      this.#listen();
    };
    socket.onmessage = (message) => {
      if (socket !== this.#socket) return;
      this.#failures = 0;
      this.#wasSignedOut = false;
      this.#listen();
      this.#onEvent(JSON.parse(message.data));
    };
    socket.onclose = (event) => this.#lost(socket, event.code);
  }

  /* Return whether it could be sent. */
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

  /* Something came: start to count the silence anew. */
  #listen() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), this.quietMs);
  }

  #ask() {
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
    // Half of the wait is left to chance, so that the viewers of a server that restarts don't return all at once.
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.open(), longest * (0.5 + Math.random() / 2));
    this.#onState("waiting", code);
  }

  /* The network or the reader is back: don't sit out the wait. */
  #hurry() {
    if (this.#socket === null) this.open();
    else if (this.isOpen) {
      clearTimeout(this.#timer);
      this.#ask(); // the connection may have died while the machine slept
    }
  }
}
