# Makes sure that there are ffmpeg and sox, which make the media files of the tests: Debian's when we may install them.
command -v ffmpeg >/dev/null && command -v sox >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ffmpeg and sox for the tests with media files."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ffmpeg sox >/dev/null && exit 0
fi
echo "The tests with media files need ffmpeg and sox: install them (on Debian: apt install ffmpeg sox)."
exit 1
