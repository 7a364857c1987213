/* Replaces the times of a page, which the server writes in its own zone, by the same moments in the reader's zone.

   An element names its moment in `data-moment`, as ISO 8601. Called by site.js for the whole page and by rows.js for
   new rows. */

import { moment } from "./formats.js";

export function formatMoments(root) {
  const now = new Date();
  for (const node of root.querySelectorAll("[data-moment]")) {
    const date = new Date(node.dataset.moment);
    if (!Number.isNaN(date.getTime())) {
      node.title = date.toLocaleString();
      node.textContent = moment(date, now);
    }
    node.dataset.isFormatted = ""; // base.css hides the server's text until then
  }
}
