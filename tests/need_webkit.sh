# Makes sure that there is a WebKit for one test: Debian's, with its driver, an X server and its decoders, or none.
ls /usr/lib/*/webkit2gtk-4.1/MiniBrowser >/dev/null 2>&1 && command -v WebKitWebDriver >/dev/null && command -v Xvfb >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing WebKit for its test."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq webkit2gtk-driver xvfb \
        gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav >/dev/null && exit 0
fi
echo "Skipped: the test in WebKit needs webkit2gtk-driver, xvfb and gstreamer1.0-plugins-good, which could not be installed."
