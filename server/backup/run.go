package backup

import (
	"encoding/binary"
	"slices"
	"time"
)

// Run is what a node offers to whoever takes a backup from it: a point in time, which it
// keeps for that long. It is told as JSON.
type Run struct {
	Run string `json:"run"`
	Source
	Node         uint32    `json:"node"`
	Version      string    `json:"version"`
	FeatureLevel uint32    `json:"feature_level"`
	Seq          uint64    `json:"seq"`
	Time         time.Time `json:"time"` // log time of the last event
	Ledger       Ledger    `json:"ledger"`
	State        State     `json:"state"` // without its files, which are told by themselves
	Log          Log       `json:"log"`
	// Unheld are nodes that do not hold back the bytes of what is deleted meanwhile: they could
	// not be told. What they throw away has to come from the others.
	Unheld []uint32 `json:"unheld,omitempty"`
	// Lease is for how long the node keeps the point from each request on, in seconds.
	Lease int `json:"lease_seconds"`
}

// Ask names a piece of a blob.
type Ask struct {
	BlobID
	Offset uint64
	Length uint32 // at most MaxPieceBytes
}

const (
	// MaxAsks is how many pieces may be asked for at once.
	MaxAsks = 4096
	askRow  = 8*3 + 4
	// MaxAskBytes bounds what EncodeAsks writes.
	MaxAskBytes = MaxAsks * askRow
)

// EncodeAsks writes what is asked for: for each piece incarnation, counter, offset (8 bytes each)
// and length (4), big-endian.
//
// The answer has, in the same order, for each piece a byte and the length of what follows (4
// bytes, big-endian): 0, the piece, and behind it its SHA-256, or 1 and why it cannot be read.
func EncodeAsks(asks []Ask) []byte {
	b := make([]byte, 0, len(asks)*askRow)
	for _, a := range asks {
		for _, n := range [...]uint64{a.Incarnation, a.Counter, a.Offset} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		b = binary.BigEndian.AppendUint32(b, a.Length)
	}
	return b
}

// DecodeAsks is the inverse of EncodeAsks; false: nobody can have asked so.
func DecodeAsks(b []byte) ([]Ask, bool) {
	if len(b) == 0 || len(b)%askRow != 0 || len(b) > MaxAskBytes {
		return nil, false
	}
	asks := make([]Ask, 0, len(b)/askRow)
	for row := range slices.Chunk(b, askRow) {
		a := Ask{BlobID{binary.BigEndian.Uint64(row), binary.BigEndian.Uint64(row[8:])}, binary.BigEndian.Uint64(row[16:]), binary.BigEndian.Uint32(row[24:])}
		if a.Length == 0 || a.Length > MaxPieceBytes {
			return nil, false
		}
		asks = append(asks, a)
	}
	return asks, true
}

// First bytes of the answer to an Ask.
const (
	PieceRead   = 0
	PieceFailed = 1
)

// Headers of an answer that is a file.
const (
	// SumHeader has the file's SHA-256, in hexadecimal.
	SumHeader = "X-Ironman-Sha256"
	// MoreHeader says "true" where a page of blobs is not the last one.
	MoreHeader = "X-Ironman-More"
)
