/* Waits for the listening copy of a recording. While the server writes it, the copy has no index and browsers can't
   seek. */

const POLL_MS = 1_000;

/* Resolve when browsers can seek in the audio at `url`. Until then `onWait(isRetry)` is called at each poll:
   `isRetry` means that the server can't make the copy now and will retry. Rejects if the copy will never come
   (deleted, signed out). */
export async function whenSeekable(url, onWait) {
  for (;;) {
    let response = null;
    try {
      response = await fetch(url, { method: "HEAD" });
    } catch {
      // No network, or the server is restarting: the next poll may succeed.
    }
    if (response?.headers.get("Accept-Ranges") === "bytes") return;
    const isRetry = response === null || response.status >= 500;
    if (!isRetry && (!response.ok || response.redirected)) throw new Error(`HTTP ${response.status}`);
    onWait(isRetry);
    const seconds = Number(response?.headers.get("Retry-After")) || 0;
    await new Promise((resolve) => setTimeout(resolve, Math.max(POLL_MS, seconds * 1_000)));
  }
}
