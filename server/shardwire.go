package server

import (
	"encoding/binary"
	"fmt"

	"ironman/erasure"
	"ironman/wal/event"
)

// What nodes say to each other about shards, inside a call or a stream of the
// link. Numbers are big-endian.
//
// A shard to be appended, in one call; its bodies follow in order. A shard to be
// streamed begins with the same, without cells.
//
//	+---------+------+-----------------------------+-------+---------------------+
//	| version | disk | blob: incarnation, counter  | size  | cell, generation    |
//	| 1       | 4    | 8, 8                        | 8     | 4, 4                |
//	+---------+------+-----------------------------+-------+---------------------+
//	| k, m, index | cells | per cell: stripe, plain, CRC32C, body bytes, digest  |
//	| 1, 1, 1     | 4     | 4, 4, 4, 4, 16                                       |
//	+-------------+-------+-------------------------------------------------------+
//
// A cell in a stream is 'C', the 32 bytes of a cell as above, and the body. The
// stream ends with 'E' and the plain size of the blob (8). Both ways of writing are
// answered with the place: pack incarnation, pack counter, offset (8 each).
//
// A read is disk (4), pack incarnation, pack counter, offset (8 each), length (4).
const (
	shardWireVersion = 1
	shardSpecBytes   = 1 + 4 + 8 + 8 + 8 + 4 + 4 + 3
	cellWireBytes    = 4*4 + 16
	placeWireBytes   = 3 * 8
	readWireBytes    = 4 + 3*8 + 4

	streamCell = 'C'
	streamEnd  = 'E'

	// maxWireCells bounds a shard that goes in one call: 1 MiB of the smallest cells
	// there are is far less.
	maxWireCells = 1 << 16
	// maxReadBytes bounds one read: a full cell (erasure.DefaultCell) and its headers are less.
	maxReadBytes = 2 << 20
)

func appendSpec(b []byte, disk uint32, s *erasure.ShardSpec) []byte {
	b = binary.BigEndian.AppendUint32(append(b, shardWireVersion), disk)
	b = binary.BigEndian.AppendUint64(b, s.Blob.Incarnation)
	b = binary.BigEndian.AppendUint64(b, s.Blob.Counter)
	b = binary.BigEndian.AppendUint64(b, s.Size)
	b = binary.BigEndian.AppendUint32(b, s.Cell)
	b = binary.BigEndian.AppendUint32(b, s.Generation)
	return append(b, s.K, s.M, s.Index)
}

func parseSpec(b []byte) (disk uint32, s erasure.ShardSpec, rest []byte, err error) {
	if len(b) < shardSpecBytes {
		return 0, s, nil, fmt.Errorf("server: a shard of another node: %w", event.ErrMalformed)
	}
	if b[0] != shardWireVersion {
		return 0, s, nil, fmt.Errorf("server: a shard of another node: version %d: %w", b[0], event.ErrNewer)
	}
	disk = binary.BigEndian.Uint32(b[1:])
	s = erasure.ShardSpec{
		Blob: erasure.BlobKey{Incarnation: binary.BigEndian.Uint64(b[5:]), Counter: binary.BigEndian.Uint64(b[13:])},
		Size: binary.BigEndian.Uint64(b[21:]), Cell: binary.BigEndian.Uint32(b[29:]), Generation: binary.BigEndian.Uint32(b[33:]),
		K: b[37], M: b[38], Index: b[39],
	}
	return disk, s, b[shardSpecBytes:], nil
}

func appendCell(b []byte, c *erasure.Cell) []byte {
	b = binary.BigEndian.AppendUint32(b, c.Stripe)
	b = binary.BigEndian.AppendUint32(b, c.Plain)
	b = binary.BigEndian.AppendUint32(b, c.CRC)
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Body)))
	return append(b, c.Digest[:]...)
}

// parseCell reads a cell without its body, of which it tells the length.
func parseCell(b []byte) (c erasure.Cell, body uint32) {
	c = erasure.Cell{
		Stripe: binary.BigEndian.Uint32(b), Plain: binary.BigEndian.Uint32(b[4:]),
		CRC: binary.BigEndian.Uint32(b[8:]), Digest: [16]byte(b[16:cellWireBytes]),
	}
	return c, binary.BigEndian.Uint32(b[12:])
}

// appendHead is all of an append but the bodies.
func appendHead(disk uint32, s *erasure.ShardSpec, cells []erasure.Cell) []byte {
	b := appendSpec(make([]byte, 0, shardSpecBytes+4+cellWireBytes*len(cells)), disk, s)
	b = binary.BigEndian.AppendUint32(b, uint32(len(cells)))
	for i := range cells {
		b = appendCell(b, &cells[i])
	}
	return b
}

// parseAppend reads an append; the cells' bodies are slices of b.
func parseAppend(b []byte) (disk uint32, s erasure.ShardSpec, cells []erasure.Cell, err error) {
	disk, s, rest, err := parseSpec(b)
	if err != nil {
		return 0, s, nil, err
	}
	bad := fmt.Errorf("server: a shard of another node: %w", event.ErrMalformed)
	if len(rest) < 4 {
		return 0, s, nil, bad
	}
	n := binary.BigEndian.Uint32(rest)
	rest = rest[4:]
	if n == 0 || n > maxWireCells || uint64(len(rest)) < uint64(n)*cellWireBytes {
		return 0, s, nil, bad
	}
	heads, bodies := rest[:n*cellWireBytes], rest[n*cellWireBytes:]
	cells = make([]erasure.Cell, n)
	for i := range cells {
		c, size := parseCell(heads[i*cellWireBytes:])
		if uint64(size) > uint64(len(bodies)) {
			return 0, s, nil, bad
		}
		c.Body, bodies = bodies[:size:size], bodies[size:]
		cells[i] = c
	}
	if len(bodies) > 0 {
		return 0, s, nil, bad
	}
	return disk, s, cells, nil
}

func appendPlace(b []byte, p erasure.Place) []byte {
	b = binary.BigEndian.AppendUint64(b, p.Pack.Incarnation)
	b = binary.BigEndian.AppendUint64(b, p.Pack.Counter)
	return binary.BigEndian.AppendUint64(b, p.Offset)
}

func parsePlace(b []byte) (erasure.Place, error) {
	if len(b) != placeWireBytes {
		return erasure.Place{}, fmt.Errorf("server: the place of a shard: %w", event.ErrMalformed)
	}
	return erasure.Place{
		Pack:   erasure.PackKey{Incarnation: binary.BigEndian.Uint64(b), Counter: binary.BigEndian.Uint64(b[8:])},
		Offset: binary.BigEndian.Uint64(b[16:]),
	}, nil
}

func appendRead(disk uint32, p erasure.Place, length int) []byte {
	b := appendPlace(binary.BigEndian.AppendUint32(make([]byte, 0, readWireBytes), disk), p)
	return binary.BigEndian.AppendUint32(b, uint32(length))
}

func parseRead(b []byte) (disk uint32, p erasure.Place, length uint32, err error) {
	if len(b) != readWireBytes {
		return 0, p, 0, fmt.Errorf("server: a read of another node: %w", event.ErrMalformed)
	}
	if p, err = parsePlace(b[4 : 4+placeWireBytes]); err != nil {
		return 0, p, 0, err
	}
	length = binary.BigEndian.Uint32(b[4+placeWireBytes:])
	if length == 0 || length > maxReadBytes {
		return 0, p, 0, fmt.Errorf("server: a read of %d bytes: %w", length, event.ErrMalformed)
	}
	return binary.BigEndian.Uint32(b), p, length, nil
}
