/* The page of one job. The entry module that joins the socket, the transcript, the state line and the player. */

import { copy } from "./copy.js";
import { Follow } from "./follow.js";
import { Player, watchKeys } from "./player.js";
import { Progress } from "./progress.js";
import { Socket } from "./socket.js";
import { State } from "./state.js";
import { Transcript } from "./transcript.js";

const SECOND_MS = 1000;
const QUIET_WHILE_ACTIVE_MS = 25_000;
const QUIET_AT_REST_MS = 300_000; // nothing is expected but somebody's retry
const COPIED_MS = 2_000; // long enough to read "Copied"

const page = document.querySelector(".job");
const log = page.querySelector(".transcript");
let job = JSON.parse(document.getElementById("job-data").textContent);

const progress = new Progress();
const state = new State(page);
const follow = new Follow(page, document.querySelector(".to-live"));
const { seq, language } = page.dataset;
const transcript = new Transcript(log, { seq: Number(seq), language, onGap: () => socket.sync() });
const player = new Player(document.querySelector(".player"), { onHear: hear });
const socket = new Socket(page.dataset.socket, {
  query: () => ({ after: transcript.seq }),
  onEvent: receive,
  onState: showConnection,
});

function receive(event) {
  switch (event.type) {
    case "snapshot":
      take(event.job); // first: what it ends must not be taken for one of the partials that the snapshot brings
      transcript.snapshot(event);
      show();
      break;
    case "partial":
      transcript.partial(event);
      progress.see(event.end_time);
      show();
      break;
    case "final":
      transcript.final(event);
      progress.see(event.segment.end_time);
      show();
      break;
    case "status":
      take(event.job);
      show();
      break;
    case "error":
      showError(event);
      break;
    default: // a newer server may say more than this page understands
  }
}

function take(newer) {
  if (newer.status !== job.status) {
    state.trouble("");
    ready();
  }
  // Partials belong to one attempt: nobody will finish those of one that has ended.
  if (newer.status !== "running" || newer.started_at !== job.started_at) transcript.clearPartials();
  job = newer;
  progress.seeJob(job);
  const isActive = job.status === "queued" || job.status === "running";
  follow.isLive = isActive;
  socket.quietMs = isActive ? QUIET_WHILE_ACTIVE_MS : QUIET_AT_REST_MS;
}

function show() {
  state.show(job, progress, { segments: transcript.size, isEmpty: transcript.isEmpty });
  player.recognised = job.status === "completed" ? Infinity : progress.position;
}

function showError({ code, message }) {
  ready();
  if (code === "not_found") {
    gone();
    return;
  }
  state.trouble(message);
}

function gone() {
  socket.end();
  follow.isLive = false;
  clearInterval(ticking);
  state.gone();
  showConnection("ended", 4404);
}

/* The hint for each way in which the connection can be missing stands in the template. */
function showConnection(connection, code) {
  const hint = connection === "waiting" ? "waiting" : connection === "ended" ? String(code) : "";
  // While it tries, the hint stays: it is not connected yet.
  if (connection === "connecting") return;
  for (const node of page.querySelectorAll("[data-connection]")) node.hidden = node.dataset.connection !== hint;
  if (hint) ready();
}

function hear(seconds, isPlaying) {
  const { node, before } = transcript.hear(isPlaying || seconds ? seconds : null);
  if (!isPlaying || node === before) return;
  follow.stop(); // who listens to one place doesn't read at another
  follow.reveal(node, before);
}

/* Actions go over the socket; without one the form is sent as it is. */
function ready() {
  for (const button of page.querySelectorAll("form[data-sends] button")) button.disabled = false;
}

for (const form of page.querySelectorAll("form[data-sends]")) {
  form.addEventListener("submit", (event) => {
    if (!socket.send({ type: form.dataset.sends })) return;
    event.preventDefault();
    form.querySelector("button").disabled = true; // until the answer comes
  });
}

log.addEventListener("click", (event) => {
  const segment = event.target.closest(".segment");
  const opensElsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  // Whoever selects words ends with a click too.
  if (!segment || opensElsewhere || !getSelection().isCollapsed) return;
  event.preventDefault();
  player.playFrom(transcript.startOf(segment));
});

for (const button of page.querySelectorAll("[data-copies]")) {
  const label = button.textContent;
  let timer = null;
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.textContent = (await copy(transcript.text())) ? "Copied" : "Could not copy";
    clearTimeout(timer); // pressed again: the answer is new
    timer = setTimeout(() => (button.textContent = label), COPIED_MS);
  });
}

// The remaining time goes on counting when nothing comes.
const ticking = setInterval(() => job.status === "running" && show(), SECOND_MS);

/* An address that names a line (#s12: a link in the admin, or a time that was copied): the player stands there too. */
function goToNamedLine() {
  const segment = /^#s\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (segment) player.goTo(transcript.startOf(segment));
}

window.addEventListener("hashchange", goToNamedLine);
watchKeys(player);
take(job);
show();
if (job.status === "running" && !location.hash) follow.start();
goToNamedLine();
socket.open();
