/* The entry module of the history, whose rows it keeps up to date. */

import { Rows } from "./rows.js";

const list = document.querySelector("[data-rows]");
if (list) new Rows(list);
