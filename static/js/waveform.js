/* Fetches the picture of a waveform. The server makes it in the background; until then it answers with a flat line
   that may not be kept, and this module asks again, each time later. */

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/* Return the address of the picture once there is one; never, where it can't be made. */
export async function whenMade(address) {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      const response = await fetch(address);
      if (response.status === 404) return new Promise(() => {}); // deleted meanwhile, or another person's
      if (response.ok && !response.headers.get("Cache-Control").includes("no-store")) return address;
    } catch {
      // No network now: the picture may come later.
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
