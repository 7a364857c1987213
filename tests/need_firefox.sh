# Makes sure that there is a Firefox ESR for the browser tests, and a PulseAudio for it: those that are there, or Debian's.
command -v firefox-esr >/dev/null && command -v pulseaudio >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Firefox for the browser tests."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq firefox-esr pulseaudio >/dev/null && exit 0
fi
echo "Skipped: the browser tests in Firefox need firefox-esr and pulseaudio, which could not be installed."
exit 1
