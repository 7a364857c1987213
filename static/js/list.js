/* The history: a list whose rows stay up to date. */

import { Rows } from "./rows.js";

const list = document.querySelector("[data-rows]");
if (list) new Rows(list);
