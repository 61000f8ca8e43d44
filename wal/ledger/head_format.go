package ledger

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/digest"
	"ironman/wal/event"
	"ironman/wal/merkle"
)

// The head is the tree head of a ledger that nobody signs:
//
//	+---------+---------+-------------+----------+-------------+
//	| "IMLH"  | version | size        | root     | CRC32C of   |
//	| 4 bytes | 1 byte  | 8 bytes, BE | 32 bytes | all, 4, BE  |
//	+---------+---------+-------------+----------+-------------+
const (
	headMagic   = "IMLH"
	headVersion = 1
	headBytes   = 4 + 1 + 8 + tlog.HashSize + 4
)

// encodeHead encodes a tree head.
func encodeHead(t tlog.Tree) []byte {
	b := make([]byte, 0, headBytes)
	b = append(b, headMagic...)
	b = append(b, headVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(t.N))
	b = append(b, t.Hash[:]...)
	return binary.BigEndian.AppendUint32(b, digest.CRC32C(b))
}

// decodeHead is the inverse of encodeHead, strictly.
func decodeHead(b []byte) (tlog.Tree, error) {
	if err := checkVersion(b, headMagic, headVersion); err != nil {
		return tlog.Tree{}, fmt.Errorf("head: %w", err)
	}
	if len(b) != headBytes {
		return tlog.Tree{}, fmt.Errorf("%w: head of %d bytes", event.ErrMalformed, len(b))
	}
	body, sum := b[:headBytes-4], binary.BigEndian.Uint32(b[headBytes-4:])
	if digest.CRC32C(body) != sum {
		return tlog.Tree{}, fmt.Errorf("%w: head with a wrong checksum", event.ErrMalformed)
	}
	size := binary.BigEndian.Uint64(b[5:])
	if size > merkle.MaxSize {
		return tlog.Tree{}, fmt.Errorf("%w: head of %d leaves", event.ErrMalformed, size)
	}
	return tlog.Tree{N: int64(size), Hash: tlog.Hash(b[13 : 13+tlog.HashSize])}, nil
}

// checkVersion checks the magic and version byte that b begins with. A version
// above ours is event.ErrNewer, whatever follows it.
func checkVersion(b []byte, magic string, version byte) error {
	if len(b) <= len(magic) || string(b[:len(magic)]) != magic {
		return fmt.Errorf("%w: does not begin with %q", event.ErrMalformed, magic)
	}
	switch v := b[len(magic)]; {
	case v > version:
		return fmt.Errorf("%w: version %d", event.ErrNewer, v)
	case v < version:
		return fmt.Errorf("%w: version %d", event.ErrMalformed, v)
	}
	return nil
}
