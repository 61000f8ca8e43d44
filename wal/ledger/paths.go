package ledger

import (
	"fmt"
	"regexp"
	"strconv"
)

// The geometry of C2SP tlog-tiles (https://c2sp.org/tlog-tiles).
const (
	// TileHeight is the number of tree levels in a tile.
	TileHeight = 8
	// BundleSize is the number of entries in a full bundle, and of hashes in a full
	// tile: the width of both.
	BundleSize = 1 << TileHeight
	// MilestoneLeaves is the number of leaves under a full tile of level 1: a
	// signed checkpoint is kept for each multiple of it.
	MilestoneLeaves = BundleSize * BundleSize
)

// CheckpointPath is the place of the latest signed checkpoint, below the
// ledger's directory.
const CheckpointPath = "checkpoint"

// headPath is the place of the unsigned tree head.
const headPath = "head"

// TilePath is the place of the n-th tile of a level, of width hashes (1 to
// BundleSize), below the ledger's directory. It is not the order of tlog.Tile.Path,
// which puts the height first.
func TilePath(level int, n uint64, width int) string {
	return "tile/" + strconv.Itoa(level) + "/" + numbered(n, width)
}

// EntriesPath is the place of the n-th bundle of envelopes, of width entries.
func EntriesPath(n uint64, width int) string {
	return "tile/entries/" + numbered(n, width)
}

// payloadDir is where payload bundles are.
const payloadDir = "payload"

// PayloadPath is the place of the n-th payload bundle, of width entries.
func PayloadPath(n uint64, width int) string {
	return payloadDir + "/" + numbered(n, width)
}

// MilestonePath is the place of the signed checkpoint of the first
// (n+1) * MilestoneLeaves leaves.
func MilestonePath(n uint64) string {
	return "checkpoints/" + numbered(n, BundleSize)
}

// numbered writes n in groups of three digits, all but the last after an x, so
// that no directory holds more than 3,000 names; and the width if it is not full.
func numbered(n uint64, width int) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	if width != BundleSize {
		s += ".p/" + strconv.Itoa(width)
	}
	return s
}

// fullFile are the paths of full bundles and tiles.
var fullFile = regexp.MustCompile(`^(tile/[0-9]{1,2}|tile/entries|payload)/(x[0-9]{3}/){0,6}[0-9]{3}$`)
