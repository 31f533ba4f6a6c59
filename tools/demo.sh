#!/bin/sh
# Runs the demo in an AiiDA configuration of its own inside the project folder: demo.sh VENV [ARGUMENTS]
set -eu

venv=$1
shift
cd "$(dirname "$0")/.."
AIIDA_PATH=$(pwd)/.aiida
export AIIDA_PATH
mkdir -p "$AIIDA_PATH"
"$venv/bin/aiida-siox" setup
exec "$venv/bin/aiida-siox" demo "$@"
