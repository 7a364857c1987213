/* Builds and updates the node of one segment: its time, speaker and text. The template of the job page renders the same
   markup. Untrusted text is only inserted through textContent. */

import { channelName, clock, personalData } from "./formats.js";

const SPEAKER_COLOURS = 6;
const FILTERED = "In the vocabulary filter";
const PUNCTUATION = /[.,!?;:…。、！？]+$/;
const speakers = new Map(); // label → number of its colour

/* Return an empty node for a partial. */
export function makeSegment() {
  const node = document.createElement("p");
  node.className = "segment partial";
  node.setAttribute("aria-hidden", "true"); // screen readers announce only finals
  const time = document.createElement("a");
  time.className = "time";
  const text = document.createElement("span");
  text.className = "text";
  node.append(time, text);
  return node;
}

export function writeTime(node, startTime) {
  const place = node.querySelector(".time");
  const text = clock(startTime);
  if (place.textContent !== text) place.textContent = text;
}

/* Show a partial. `stable` is the length of the prefix, in code points, that no later partial changes. */
export function writePartial(node, { text, speaker, channel, stable = 0 }) {
  const place = node.querySelector(".text");
  const characters = [...text]; // code points, as the server counts, not UTF-16 units
  const settled = characters.slice(0, stable).join("");
  const shown = place.querySelector(".stable")?.textContent ?? "";
  // Rewriting equal text would only clear the reader's selection.
  if (place.textContent !== text || shown !== settled) {
    const first = settled ? [part("span", "stable", settled)] : [];
    place.replaceChildren(...first, characters.slice(stable).join(""));
  }
  writeSpeaker(node, speaker || channelName(channel));
}

/* Turn a partial's node into that of its final. Only the colour changes where the text is the same. */
export function finalise(node, segment) {
  const place = node.querySelector(".text");
  const found = marks(segment.text, segment.words ?? []);
  if (found.length) place.replaceChildren(...markedParts(segment.text, found));
  else if (place.textContent !== segment.text) place.textContent = segment.text;
  writeSpeaker(node, segment.speaker || channelName(segment.channel));
  writeTime(node, segment.start_time);
  node.querySelector(".time").href = `#s${segment.seq}`;
  node.id = `s${segment.seq}`;
  if (segment.language_code) node.dataset.language = segment.language_code;
  if (segment.is_provisional) {
    const tag = part("small", "tag unconfirmed", "not final");
    tag.title = "The engine stopped before finalising this line.";
    node.append(tag);
  }
  node.classList.remove("partial");
  node.removeAttribute("aria-hidden");
}

/* Colour the speaker's label, and hide it where the previous segment has the same speaker. */
export function nameSpeaker(node) {
  const speaker = node?.dataset.speaker;
  if (!speaker) return;
  if (!speakers.has(speaker)) speakers.set(speaker, (speakers.size % SPEAKER_COLOURS) + 1);
  const label = node.querySelector(".speaker");
  label.dataset.colour = speakers.get(speaker);
  node.classList.toggle("goes-on", node.previousElementSibling?.dataset.speaker === speaker);
}

/* Show the language of a node where it differs from the previous one; `first` is the job's language. */
export function nameLanguage(node, first) {
  const language = node?.dataset.language;
  if (!language) return;
  let before = node.previousElementSibling;
  while (before && !before.dataset.language) before = before.previousElementSibling; // partials have no language
  const tag = node.querySelector(".language");
  const changes = language !== (before?.dataset.language ?? first);
  if (changes && !tag) node.querySelector(".text").after(part("small", "tag language", language));
  else if (!changes) tag?.remove();
}

function writeSpeaker(node, name) {
  if (!name || node.dataset.speaker === name) return;
  node.dataset.speaker = name;
  const label = node.querySelector(".speaker") ?? part("b", "speaker", "");
  if (!label.isConnected) node.querySelector(".text").before(label);
  label.textContent = name;
}

function part(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/* Return the marked ranges of a text, neighbours of one kind merged: [{begin, end, kind, title}]. The template filter
   `marked` does the same. */
function marks(text, words) {
  const found = [];
  let at = 0;
  let last = null;
  for (const word of words) {
    const begin = text.indexOf(word.text, at);
    if (begin < 0) continue; // the text does not contain this word
    at = begin + word.text.length;
    const end = begin + word.text.replace(PUNCTUATION, "").length;
    const title = word.pii ? personalData(word.pii) : word.vocabulary_filter_match ? FILTERED : "";
    if (title && last?.title === title) last.end = end;
    else if (title) found.push((last = { begin, end, kind: word.pii ? "pii" : "filtered", title }));
    if (!title) last = null;
  }
  return found;
}

function markedParts(text, found) {
  const parts = [];
  let at = 0;
  for (const { begin, end, kind, title } of found) {
    const mark = part("mark", kind, text.slice(begin, end));
    mark.title = title;
    parts.push(text.slice(at, begin), mark);
    at = end;
  }
  return [...parts, text.slice(at)];
}
