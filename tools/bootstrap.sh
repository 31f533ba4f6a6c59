#!/bin/sh
# Makes the virtual environment and installs the package with the pinned versions: bootstrap.sh FOLDER [EXTRAS]
set -eu

venv=${1:-.venv}
extras=${2:-dev}
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
apt_install() {
    for attempt in first second; do
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null && return
        [ $attempt = first ] && as_root env DEBIAN_FRONTEND=noninteractive apt-get update >/dev/null
    done
    exit 1
}
find_python() {
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            printf '%s' "$candidate"
            return
        fi
    done
}
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
    python=$(find_python)
    if [ -z "$python" ] && ! command -v python3 >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
        say "install: no Python; installing the system's packages python3 and python3-venv"
        apt_install python3 python3-venv
        python=$(find_python)
    fi
    if [ -z "$python" ]; then
        found=$(python3 --version 2>/dev/null || true)
        say "install: Python 3.11 or newer is needed; found: ${found:-none}." >&2
        say "Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv; elsewhere conda)" >&2
        say "or name it: PYTHON=/path/to/python3 make install" >&2
        exit 1
    fi
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        # Debian ships ensurepip apart from Python.
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if ! command -v apt-get >/dev/null 2>&1; then
            say "install: $python has no venv module with pip: install it for Python $version." >&2
            exit 1
        fi
        say "install: installing the system's package python$version-venv"
        apt_install "python$version-venv"
    fi
    say "install: making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

# pip 23.2, which Debian 12 and Python 3.11 bring, stops with an AssertionError on these requirements.
say "install: upgrading pip"
pip install --quiet --upgrade pip

if ! "$venv/bin/python" -c 'import torch' >/dev/null 2>&1; then
    pin=$(grep '^torch==' constraints.txt)
    index=https://download.pytorch.org/whl/cpu
    if "$venv/bin/python" -c "import urllib.request as r; r.urlopen('$index/torch/', timeout=5)" >/dev/null 2>&1 &&
        pip install --quiet --no-deps --index-url "$index" "$pin"; then
        say "install: $pin from PyTorch's CPU index"
    else
        say "install: PyTorch's CPU index cannot be reached, taking $pin from the default index"
    fi
fi

say "install: the package and its pinned requirements (a few minutes the first time)"
pip install --quiet --constraint constraints.txt --editable ".[$extras]"
say "install: done, $("$venv/bin/python" -c 'import aiida_siox; print("aiida-siox", aiida_siox.__version__)') in $venv"
