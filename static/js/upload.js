/* The page of one upload: its player. */

import { Player, watchKeys } from "./player.js";

watchKeys(new Player(document.querySelector(".player")));
