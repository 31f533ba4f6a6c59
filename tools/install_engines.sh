#!/bin/sh
# Installs the engines (LAMMPS, Quantum ESPRESSO, a fast BLAS, graphviz) from the system's packages when they are missing.
set -eu

say() { printf '%s\n' "$*"; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# procps: without `ps` AiiDA takes every job on this machine for finished.
PACKAGES="lammps lammps-data quantum-espresso quantum-espresso-data libopenblas0-serial graphviz procps"
EXECUTABLES="lmp pw.x pp.x ld1.x xspectra.x dot ps"

# A fast BLAS makes the core-hole SCF twice as fast: the reference BLAS counts as missing.
uses_fast_blas() {
    ldd "$(command -v pw.x)" 2>/dev/null | grep -qiE 'openblas|mkl|blis|armpl|libsci' && return 0
    # No BLAS library at all among the shared ones: it is linked statically.
    ! ldd "$(command -v pw.x)" 2>/dev/null | grep -qi 'libblas'
}

missing=""
for name in $EXECUTABLES; do
    command -v "$name" >/dev/null 2>&1 || missing="$missing $name"
done
if [ -z "$missing" ] && uses_fast_blas; then
    say "engines: all installed (lmp, pw.x, pp.x, ld1.x, xspectra.x), pw.x loads a fast BLAS"
    exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
    say "engines: missing:${missing:- a fast BLAS}." >&2
    say "There is no apt-get here. Install them with conda-forge, then run this again with that environment active:" >&2
    say "    conda install -c conda-forge lammps qe graphviz" >&2
    say "or put your own lmp, pw.x, pp.x, ld1.x and xspectra.x on the PATH." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    say "engines: missing:${missing:- a fast BLAS}. Neither root nor sudo: ask the administrator for" >&2
    say "    apt-get install --no-install-recommends $PACKAGES" >&2
    exit 1
fi

say "engines: missing:${missing:- a fast BLAS}; installing from the system's packages: $PACKAGES"
log=$(mktemp)
install_packages() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $PACKAGES >"$log" 2>&1
}
as_root env DEBIAN_FRONTEND=noninteractive apt-get update >"$log" 2>&1 ||
    say "engines: apt-get update failed, going on with the package lists that are there"
if ! install_packages; then
    say "engines: apt-get install failed. Its last lines:" >&2
    tail -n 15 "$log" >&2
    rm -f "$log"
    exit 1
fi
rm -f "$log"

for name in $EXECUTABLES; do
    command -v "$name" >/dev/null 2>&1 || { say "engines: $name is still not on the PATH" >&2; exit 1; }
done
if uses_fast_blas; then
    say "engines: installed, pw.x loads a fast BLAS"
else
    say "engines: installed, but pw.x loads the reference BLAS (SCF about twice as slow). Choose OpenBLAS with" >&2
    say "    update-alternatives --config libblas.so.3-$(uname -m)-linux-gnu" >&2
fi
