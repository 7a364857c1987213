/* Puts seconds and moments that the server wrote as plain numbers into people's words.

   `data-seconds` is a length; `data-moment` is a point in time, which the server can only tell in UTC. Called by site.js
   for the whole page. */

import { length, moment } from "./words.js";

export function say(root) {
  for (const node of root.querySelectorAll("[data-seconds]")) {
    const seconds = Number(node.dataset.seconds);
    if (Number.isFinite(seconds)) node.textContent = length(seconds);
    node.dataset.said = "";
  }
  const now = new Date();
  for (const node of root.querySelectorAll("[data-moment]")) {
    const date = new Date(node.dataset.moment);
    if (!Number.isNaN(date.getTime())) {
      node.title = date.toLocaleString();
      node.textContent = moment(date, now);
    }
    node.dataset.said = "";
  }
}
