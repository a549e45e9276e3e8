#!/usr/bin/env bash
# Pin what requirements/*.in ask for: exact versions with hashes, for every platform, naming no registry host.
#
#   tools/lock_requirements.sh             keep pinned versions where they still fit
#   tools/lock_requirements.sh --upgrade   take the newest that fit
#
# The development list is solved first and the others are held to it, so that what is tested is what runs.
# Needs uv, only here: one on the path, or else one in a temporary environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../requirements"

if command -v uv >/dev/null; then
    uv=uv
else
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    python3 -m venv "$temporary"
    "$temporary/bin/python" -m pip --disable-pip-version-check --quiet install uv
    uv=$temporary/bin/uv
fi

compile() {
    "$uv" pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet "$@"
}

compile "$@" dev.in --output-file dev.txt
compile runtime.in --constraints dev.txt --upgrade --output-file runtime.txt
compile build.in --constraints dev.txt --upgrade --output-file build.txt
