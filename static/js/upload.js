/* The entry module of a recording's page: the player, the form that starts a job, and the list of transcripts. */

import { Player, watchKeys } from "./player.js";
import { Rows } from "./rows.js";
import { watchStart } from "./start.js";

watchKeys(new Player(document.querySelector(".player")));
const form = document.querySelector(".start");
if (form) watchStart(form);
new Rows(document.querySelector("[data-rows]"));
