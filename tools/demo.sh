#!/bin/sh
# Runs the demo in an AiiDA configuration of its own inside the project folder: demo.sh VENV [ARGUMENTS]
set -eu

venv=$1
shift
cd "$(dirname "$0")/.."
AIIDA_PATH=$(pwd)/.aiida
export AIIDA_PATH
mkdir -p "$AIIDA_PATH"
# Once for each installation; what has gone missing since then is noticed by the demo itself.
stamp=$AIIDA_PATH/.set-up
if [ ! -e "$stamp" ] || [ "$venv/.installed" -nt "$stamp" ]; then
    "$venv/bin/aiida-siox" setup
    touch "$stamp"
fi
exec "$venv/bin/aiida-siox" demo "$@"
