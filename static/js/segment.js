/* The node of one segment: the time in the margin, who spoke, and the words. The template of the job page
   makes the same node; every text from outside enters by textContent. */

import { channelName, clock, personalData } from "./words.js";

const SPEAKER_COLOURS = 6;
const FILTERED = "In the vocabulary filter";
const PUNCTUATION = /[.,!?;:…。、！？]+$/;
const speakers = new Map(); // in order of appearance

/* Return the node of a segment that isn't final yet. */
export function makeSegment() {
  const node = document.createElement("p");
  node.className = "segment partial";
  node.setAttribute("aria-hidden", "true"); // not announced until it is final
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

/* `stable` is the number of characters, from the first on, that will not change any more. */
export function writePartial(node, { text, speaker, channel, stable = 0 }) {
  const place = node.querySelector(".text");
  const characters = [...text]; // as the server counts them, not as JavaScript does
  const settled = characters.slice(0, stable).join("");
  const shown = place.querySelector(".stable")?.textContent ?? "";
  // The same words again would only disturb a selection.
  if (place.textContent !== text || shown !== settled) {
    const first = settled ? [part("span", "stable", settled)] : [];
    place.replaceChildren(...first, characters.slice(stable).join(""));
  }
  writeVoice(node, speaker || channelName(channel));
}

/* The words are settled: the ink changes, and nothing else. */
export function settle(node, segment) {
  const place = node.querySelector(".text");
  const found = marks(segment.text, segment.words ?? []);
  if (found.length) place.replaceChildren(...markedParts(segment.text, found));
  else if (place.textContent !== segment.text) place.textContent = segment.text;
  writeVoice(node, segment.speaker || channelName(segment.channel));
  writeTime(node, segment.start_time);
  node.querySelector(".time").href = `#s${segment.seq}`;
  node.id = `s${segment.seq}`;
  if (segment.language_code) node.dataset.language = segment.language_code;
  if (segment.is_provisional) {
    const tag = part("small", "tag unconfirmed", "unconfirmed");
    tag.title = "The engine ended before it confirmed these words.";
    node.append(tag);
  }
  node.classList.remove("partial");
  node.removeAttribute("aria-hidden");
}

/* Give the speaker of a node a colour, and name a speaker once for all the segments that follow on. */
export function nameSpeaker(node) {
  const speaker = node?.dataset.speaker;
  if (!speaker) return;
  if (!speakers.has(speaker)) speakers.set(speaker, (speakers.size % SPEAKER_COLOURS) + 1);
  const label = node.querySelector(".speaker");
  label.dataset.colour = speakers.get(speaker);
  node.classList.toggle("goes-on", node.previousElementSibling?.dataset.speaker === speaker);
}

/* Name the language of a node where it is another than before; `first` is that of the job. */
export function nameLanguage(node, first) {
  const language = node?.dataset.language;
  if (!language) return;
  let before = node.previousElementSibling;
  while (before && !before.dataset.language) before = before.previousElementSibling; // partials have none
  const tag = node.querySelector(".language");
  const changes = language !== (before?.dataset.language ?? first);
  if (changes && !tag) node.querySelector(".text").after(part("small", "tag language", language));
  else if (!changes) tag?.remove();
}

function writeVoice(node, voice) {
  if (!voice || node.dataset.speaker === voice) return;
  node.dataset.speaker = voice;
  const label = node.querySelector(".speaker") ?? part("b", "speaker", "");
  if (!label.isConnected) node.querySelector(".text").before(label);
  label.textContent = voice;
}

function part(name, className, text) {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = text;
  return node;
}

/* Where marked words stand in a text, neighbours of one kind as one: [{begin, end, kind, title}]. The template's
   filter `marked` does the same. */
function marks(text, words) {
  const found = [];
  let at = 0;
  let last = null;
  for (const word of words) {
    const begin = text.indexOf(word.text, at);
    if (begin < 0) continue; // the words say it otherwise than the text
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
