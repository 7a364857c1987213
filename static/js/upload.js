/* The page of one recording: its player, the form that starts a job, and its transcripts, which stay up to date. */

import { Player, watchKeys } from "./player.js";
import { Rows } from "./rows.js";
import { watchStart } from "./start.js";

watchKeys(new Player(document.querySelector(".player")));
const form = document.querySelector(".start");
if (form) watchStart(form);
new Rows(document.querySelector("[data-rows]"));
