/* The node of one segment: the time in the margin, who spoke, and the words. The template of the job page
   makes the same node; every text from outside enters by textContent. */

import { clock } from "./words.js";

const SPEAKER_COLOURS = 6;
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

export function writeText(node, text, speaker) {
  const place = node.querySelector(".text");
  // The same words again would only disturb a selection.
  if (place.textContent !== text) place.textContent = text;
  if (speaker && node.dataset.speaker !== speaker) {
    node.dataset.speaker = speaker;
    let label = node.querySelector(".speaker");
    if (!label) {
      label = document.createElement("b");
      label.className = "speaker";
      place.before(label);
    }
    label.textContent = speaker;
  }
}

/* The words are settled: the ink changes, and nothing else. */
export function settle(node, segment) {
  writeText(node, segment.text, segment.speaker);
  writeTime(node, segment.start_time);
  node.querySelector(".time").href = `#s${segment.seq}`;
  node.id = `s${segment.seq}`;
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
