/* The listening copy of a recording. While the server makes it, it has no index and browsers can't seek in it. */

const LOOK_MS = 1_000;

/* Wait until the audio at `url` can be played from any place. `onWait(isRetry)` is called while it can't: `isRetry`
   tells that the server can't make the copy now and will try again. Rejects where there is nothing to wait for. */
export async function whenSeekable(url, onWait) {
  for (;;) {
    let response = null;
    try {
      response = await fetch(url, { method: "HEAD" });
    } catch {
      // No network, or the server restarts: the next look may succeed.
    }
    if (response?.headers.get("Accept-Ranges") === "bytes") return;
    const isRetry = response === null || response.status >= 500;
    if (!isRetry && (!response.ok || response.redirected)) throw new Error(`HTTP ${response.status}`);
    onWait(isRetry);
    const seconds = Number(response?.headers.get("Retry-After")) || 0;
    await new Promise((resolve) => setTimeout(resolve, Math.max(LOOK_MS, seconds * 1_000)));
  }
}
