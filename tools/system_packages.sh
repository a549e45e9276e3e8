#!/usr/bin/env bash
# Install the Debian packages that are missing here.
#
#   tools/system_packages.sh              what the tests call: a browser, age and zstd (to open a vault's segment
#                                         without our code), strace (to fail a chosen system call), Hindi type
#   tools/system_packages.sh PACKAGE…     these
#
# As root, or with sudo that asks for no password, it installs; otherwise it says in one sentence what to run.
set -euo pipefail

present() {
    case $1 in
        chromium | age | zstd | strace) command -v "$1" >/dev/null ;;
        fonts-noto-core) compgen -G '/usr/share/fonts/*/noto/NotoSansDevanagari-Regular.*' >/dev/null ;;
        *) dpkg-query --show --showformat='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
    esac
}

wanted=("$@")
[ $# -gt 0 ] || wanted=(chromium age zstd strace fonts-noto-core)
missing=()
for package in "${wanted[@]}"; do
    present "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
    echo "These are missing, and this machine has no apt-get to install them: ${missing[*]}. Install them by hand." >&2
    exit 1
fi
if ! "${as_root[@]}" true 2>/dev/null; then
    echo "These system packages are missing; run: sudo apt-get install ${missing[*]}" >&2
    exit 1
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 "$@"
}

echo "Installing system packages: ${missing[*]}"
for attempt in 1 2 3; do
    if apt update >/dev/null && apt install --yes --no-install-recommends "${missing[@]}" >/dev/null; then
        exit 0
    fi
    sleep $((attempt * 5))
done
echo "apt-get could not install ${missing[*]}; run it by hand to see why: sudo apt-get install ${missing[*]}" >&2
exit 1
