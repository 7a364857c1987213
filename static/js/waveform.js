/* Waits for the picture of a waveform. The server makes it in the background and answers with a flat line and
   `no-store` until then. This module retries with backoff. */

const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;

/* Resolve to the address when the picture is ready. Never resolves for a deleted recording or one without a waveform. */
export async function whenMade(address) {
  for (let backoff = FIRST_BACKOFF_MS; ; backoff = Math.min(2 * backoff, MAX_BACKOFF_MS)) {
    try {
      const response = await fetch(address);
      if (response.status === 404) return new Promise(() => {}); // deleted
      if (response.ok && !response.headers.get("Cache-Control").includes("no-store")) return address;
    } catch {
      // No network: retry.
    }
    await new Promise((resolve) => setTimeout(resolve, backoff));
  }
}
