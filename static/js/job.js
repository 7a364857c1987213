/* The entry module of a job's page. Connects the socket, the transcript, the status bar and the player. */

import { copy } from "./copy.js";
import { Follow } from "./follow.js";
import { Player, watchKeys } from "./player.js";
import { Progress } from "./progress.js";
import { Socket } from "./socket.js";
import { State } from "./state.js";
import { Transcript } from "./transcript.js";

const SECOND_MS = 1000;
const QUIET_WHILE_ACTIVE_MS = 25_000;
const QUIET_AT_REST_MS = 300_000; // after the end of a job only a retry or a deletion sends an event
const COPIED_MS = 2_000; // long enough to read "Copied"

const page = document.querySelector(".job");
const log = page.querySelector(".transcript");
let job = JSON.parse(document.getElementById("job-data").textContent);

const progress = new Progress();
const state = new State(page);
const follow = new Follow(page, document.querySelector(".to-live"));
const { seq, language } = page.dataset;
const transcript = new Transcript(log, { seq: Number(seq), language, onGap: () => socket.sync() });
const player = new Player(document.querySelector(".player"), { onPosition: showPlayed });
const socket = new Socket(page.dataset.socket, {
  query: () => ({ after: transcript.seq }),
  onEvent: receive,
  onState: showConnection,
});

function receive(event) {
  switch (event.type) {
    case "snapshot":
      applyJob(event.job); // first: it clears the partials of an old attempt, and must not clear those of the snapshot
      transcript.snapshot(event);
      show();
      break;
    case "partial":
      transcript.partial(event);
      progress.record(event.end_time);
      show();
      break;
    case "final":
      transcript.final(event);
      progress.record(event.segment.end_time);
      show();
      break;
    case "status":
      applyJob(event.job);
      show();
      break;
    case "error":
      showError(event);
      break;
    default: // a type of a newer server: ignored
  }
}

function applyJob(newer) {
  if (newer.status !== job.status) {
    state.showError("");
    enableActions();
  }
  // Partials belong to one attempt. After its end they can't become final.
  if (newer.status !== "running" || newer.started_at !== job.started_at) transcript.clearPartials();
  job = newer;
  progress.recordJob(job);
  const isActive = job.status === "queued" || job.status === "running";
  follow.isLive = isActive;
  socket.quietMs = isActive ? QUIET_WHILE_ACTIVE_MS : QUIET_AT_REST_MS;
}

function show() {
  state.show(job, progress, { segments: transcript.size, isEmpty: transcript.isEmpty });
  player.transcribed = job.status === "completed" ? Infinity : progress.position;
}

function showError({ code, message }) {
  enableActions();
  if (code === "not_found") {
    showDeleted();
    return;
  }
  state.showError(message);
}

function showDeleted() {
  socket.end();
  follow.isLive = false;
  clearInterval(ticking);
  state.showDeleted();
  showConnection("ended", 4404);
}

/* Show the template's hint for the connection: none while it is open, else one for `waiting` or for a close code. */
function showConnection(connection, code) {
  const hint = connection === "waiting" ? "waiting" : connection === "ended" ? String(code) : "";
  // Keep the hint while the socket connects: the page has no connection yet.
  if (connection === "connecting") return;
  for (const node of page.querySelectorAll("[data-connection]")) node.hidden = node.dataset.connection !== hint;
  if (hint) enableActions();
}

function showPlayed(seconds, isPlaying) {
  const { node, before } = transcript.markPlayed(isPlaying || seconds ? seconds : null);
  if (!isPlaying || node === before) return;
  follow.stop(); // the reader follows the playback now, not the end of the page
  follow.reveal(node, before);
}

/* Actions go over the socket. Without an open socket the browser submits the form. */
function enableActions() {
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
  // A mouse selection also ends with a click. It must not start playback.
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
    clearTimeout(timer); // a second press restarts the time for which the label shows the result
    timer = setTimeout(() => (button.textContent = label), COPIED_MS);
  });
}

// Count the remaining time down between events.
const ticking = setInterval(() => job.status === "running" && show(), SECOND_MS);

/* Seek to the segment that the address names (#s12, as in links of the admin and of copied times). */
function goToNamedLine() {
  const segment = /^#s\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (segment) player.goTo(transcript.startOf(segment));
}

window.addEventListener("hashchange", goToNamedLine);
watchKeys(player);
applyJob(job);
show();
if (job.status === "running" && !location.hash) follow.start();
goToNamedLine();
socket.open();
