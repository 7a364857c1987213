/* Why a browser can't play the audio. */

const ANSWER_MS = 10_000;
// Browsers have no code for a missing audio device, only messages: two of Firefox (cubeb is its audio library) and one of
// Chromium.
const DEVICE = /MediaSinkAudioError|cubeb|audio_renderer/i;

/* Return the name of the fault of `audio`, whose file is at `url`: "device", "network", "server", "signed-out",
   "missing", "format" or "decoding". */
export async function faultOf(audio, url) {
  const { code = 0, message = "" } = audio.error ?? {};
  if (DEVICE.test(message)) return "device";
  // For an error response of the server, browsers report what they report for an unknown format. So ask the server.
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
      return "network"; // it was lost, and is there again
  }
}
