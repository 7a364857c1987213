/* Finds out why a browser can't play the audio. Called by player.js after an error event. */

const ANSWER_MS = 10_000;
// Browsers report a missing audio device only in the error's message: two of Firefox (cubeb is its audio library), one
// of Chromium.
const DEVICE = /MediaSinkAudioError|cubeb|audio_renderer/i;

/* Return the fault of the element `audio`, whose file is at `url`. May ask the server, for 10 s at most. The result
   is "device", "network", "server", "signed-out", "missing", "format" or "decoding". */
export async function faultOf(audio, url) {
  const { code = 0, message = "" } = audio.error ?? {};
  if (DEVICE.test(message)) return "device";
  // Browsers report an error response of the server as an unknown format, so ask the server for its status.
  const signal = AbortSignal.timeout(ANSWER_MS);
  const response = await fetch(url, { method: "HEAD", cache: "no-store", signal }).catch(() => null);
  if (response === null) return "network";
  if (response.redirected || response.status === 401) return "signed-out";
  if (response.status === 404) return "missing";
  if (response.status === 422) return "decoding"; // the server can't decode it either
  if (!response.ok) return "server";
  switch (code) {
    case MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED:
      return "format";
    case MediaError.MEDIA_ERR_DECODE:
      return "decoding";
    default:
      return "network"; // the connection was lost and works again
  }
}
