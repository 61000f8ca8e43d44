package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Errors of Unmarshal.
var (
	// ErrNewer says that the bytes were written by a newer release.
	ErrNewer = errors.New("newer than this release understands")
	// ErrMalformed says that the bytes are not a frontier.
	ErrMalformed = errors.New("malformed frontier")
)

// A frontier's bytes:
//
//	+---------+-------------+----------+----------+-----+
//	| version | size        | subtree  | subtree  | ... |
//	| 1 byte  | 8 bytes, BE | 32 bytes | 32 bytes |     |
//	+---------+-------------+----------+----------+-----+
//
// One subtree root per set bit of size, that of the highest bit (the leftmost
// leaves) first. Nothing follows.
const (
	formatVersion = 1
	headerBytes   = 9
)

// Marshal encodes f. Equal frontiers give equal bytes.
func (f *Frontier) Marshal() []byte {
	return f.AppendTo(make([]byte, 0, headerBytes+bits.OnesCount64(f.size)*tlog.HashSize))
}

// AppendTo appends Marshal's bytes to b.
func (f *Frontier) AppendTo(b []byte) []byte {
	b = append(b, formatVersion)
	b = binary.BigEndian.AppendUint64(b, f.size)
	for l := maxLevels - 1; l >= 0; l-- {
		if f.size>>l&1 == 1 {
			b = append(b, f.nodes[l][:]...)
		}
	}
	return b
}

// Unmarshal decodes what Marshal gave, strictly: ErrNewer for a version above
// this release's, ErrMalformed for anything else that Marshal does not give.
func Unmarshal(b []byte) (*Frontier, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: no bytes", ErrMalformed)
	}
	if v := b[0]; v > formatVersion {
		return nil, fmt.Errorf("%w: frontier version %d", ErrNewer, v)
	} else if v != formatVersion {
		return nil, fmt.Errorf("%w: version %d", ErrMalformed, v)
	}
	if len(b) < headerBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	f := &Frontier{size: binary.BigEndian.Uint64(b[1:headerBytes])}
	if f.size > MaxSize {
		return nil, fmt.Errorf("%w: %d leaves", ErrMalformed, f.size)
	}
	b = b[headerBytes:]
	if want := bits.OnesCount64(f.size) * tlog.HashSize; len(b) != want {
		return nil, fmt.Errorf("%w: %d leaves with %d bytes of subtrees instead of %d", ErrMalformed, f.size, len(b), want)
	}
	for l := maxLevels - 1; l >= 0; l-- {
		if f.size>>l&1 == 1 {
			copy(f.nodes[l][:], b)
			b = b[tlog.HashSize:]
		}
	}
	return f, nil
}
