#!/usr/bin/env bash
# Make .venv and install one of the pinned lists, then the project itself.
#
#   tools/make_venv.sh runtime|dev
#
# Only packages whose hash is in the list are accepted. The project is installed last, editable, without dependencies
# and without an isolated build environment: so nothing is fetched that the list does not name.
# PYTHON names the interpreter. By default it is the distribution's own, which is compiled for speed (by a seventh faster
# here than one that a version manager built), or else the first python3 on the path.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

list=${1:?"which list? runtime or dev"}
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    if /usr/bin/python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=/usr/bin/python3
    fi
fi

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

case $list in
    runtime) pinned=(requirements/build.txt requirements/runtime.txt) ;;
    dev) pinned=(requirements/dev.txt) ;;
    *) fail "There is no list “$list”: it is runtime or dev." ;;
esac

command -v "$python" >/dev/null ||
    fail "Nirantar needs Python 3.11 or newer, and there is no “$python” here. Name it: make PYTHON=/path/to/python3 …"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Nirantar needs Python 3.11 or newer; “$python” is $version. Name a newer one: make PYTHON=/path/to/python3 …"

# Debian packs the modules that make an environment apart from the interpreter.
can_make_environments() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null
}
can_make_environments || bash tools/system_packages.sh "python$version-venv" || true
can_make_environments ||
    fail "“$python” cannot make a virtual environment: its modules venv and ensurepip are missing."

# An environment that was interrupted half made, belongs to another Python, or was moved with its folder, is made anew.
if ! [ "$(.venv/bin/python -c 'import pip, sys; print(sys.prefix, "%d.%d" % sys.version_info[:2])' 2>/dev/null)" \
        = "$PWD/.venv $version" ] || ! head -n 2 .venv/bin/pip | grep -qF "$PWD/.venv/"; then
    echo "Making .venv with Python $version"
    rm -rf .venv
    "$python" -m venv .venv
fi

pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input --quiet --quiet)
started=$SECONDS
echo "Installing $(cat "${pinned[@]}" | grep -c '==') pinned packages ($list)"
"${pip[@]}" install --require-hashes --retries 10 "${pinned[@]/#/--requirement=}"
"${pip[@]}" install --no-deps --no-build-isolation --no-index --editable .
echo "Installed in $((SECONDS - started)) s"

# The development list contains the runtime's, at the same versions (a tidy test says so).
touch .venv/installed.runtime
if [ "$list" = dev ]; then
    touch .venv/installed.dev
fi
