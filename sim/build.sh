#!/bin/sh
# Builds the server for GOOS=wasip1, as the simulator runs it. Pebble lacks two
# small files for that system: a copy of the module with them is made in .build,
# and named by a go.mod of its own, so that the project's stays clean.
set -eu
cd "$(dirname "$0")/.."
go mod download github.com/cockroachdb/pebble/v2
src=$(go list -m -f '{{.Dir}}' github.com/cockroachdb/pebble/v2)
rm -rf .build/pebble
mkdir -p .build/pebble
cp -r "$src/." .build/pebble/
chmod -R u+w .build/pebble
find .build/pebble -name '*_test.go' -delete
cp sim/wasip1/rawalloc_wasm.go.txt .build/pebble/internal/rawalloc/rawalloc_wasm.go
cp sim/wasip1/default_wasip1.go.txt .build/pebble/vfs/default_wasip1.go
cp go.mod .build/sim.mod
cp go.sum .build/sim.sum
# Nothing of this machine may be in the module, or the same seed would be another
# history elsewhere: no path (the replacement is relative to the project), no commit.
go mod edit -replace github.com/cockroachdb/pebble/v2=./.build/pebble .build/sim.mod
CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm go build -modfile=.build/sim.mod -trimpath -buildvcs=false "$@"
