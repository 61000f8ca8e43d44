#!/bin/sh
# Builds for GOOS=wasip1, as the simulator runs it. No path and no commit is in the
# module: see pebble.sh.
set -eu
cd "$(dirname "$0")/.."
./sim/pebble.sh wasip1
CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm go build -modfile=.build/wasip1.mod -trimpath -buildvcs=false "$@"
