#!/bin/sh
# Makes .build/NAME.mod, a go.mod beside the project's with a changed copy of Pebble
# in .build/NAME, for NAME
#   wasip1: with two small files that Pebble lacks for that system
#   race:   without the checks of its own that Pebble adds under the race detector;
#           they cost a third of the time
# The project's own go.mod stays clean.
set -eu
cd "$(dirname "$0")/.."
name=$1
go mod download github.com/cockroachdb/pebble/v2
src=$(go list -m -f '{{.Dir}}' github.com/cockroachdb/pebble/v2)
to=.build/$name
rm -rf "$to"
mkdir -p "$to"
cp -r "$src/." "$to/"
chmod -R u+w "$to"
find "$to" -name '*_test.go' -delete
case $name in
wasip1)
	cp sim/wasip1/rawalloc_wasm.go.txt "$to/internal/rawalloc/rawalloc_wasm.go"
	cp sim/wasip1/default_wasip1.go.txt "$to/vfs/default_wasip1.go"
	;;
race)
	for f in on off invariants; do
		sed -i -e 's/^\/\/go:build invariants || race$/\/\/go:build invariants/' \
			-e 's/^\/\/go:build !invariants && !race$/\/\/go:build !invariants/' \
			-e 's/^const Enabled = .*/const Enabled = buildtags.Invariants/' \
			-e 's/^const RaceEnabled = .*/const RaceEnabled = false/' "$to/internal/invariants/$f.go"
	done
	;;
esac
cp go.mod ".build/$name.mod"
cp go.sum ".build/$name.sum"
# Relative to the project: nothing of this machine may be in what is built, or the
# same seed would be another history elsewhere.
go mod edit -replace "github.com/cockroachdb/pebble/v2=./$to" ".build/$name.mod"
