# Installs AWS's SDK for JavaScript for `make interop`, at the versions of the lock file, in a folder that git ignores.
folder=${1:?the folder of the virtual environment}/interop
lock=tests/interop/package-lock.json
cmp -s "$lock" "$folder/installed" && exit 0
mkdir -p "$folder" && cp tests/interop/package.json "$lock" "$folder" &&
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) &&
    cp "$lock" "$folder/installed" && exit 0
echo "AWS's SDK for JavaScript could not be installed with npm."
exit 1
