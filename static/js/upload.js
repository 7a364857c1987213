/* The page of one upload: its player, and the form that starts a job. */

import { Player, watchKeys } from "./player.js";
import { watchStart } from "./start.js";

watchKeys(new Player(document.querySelector(".player")));
const form = document.querySelector(".start");
if (form) watchStart(form);
