package erasure

import (
	"encoding/binary"
	"fmt"

	"ironman/sim/sabotage"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// A shard in a pack is its header, then one cell per stripe. All numbers are
// big-endian. Every checksum covers the identity of what it protects: what is
// not written beside it (the cell's cluster, disk, pack and offset) is part of
// the sum all the same.
//
// Header, 128 bytes:
//
//	  0  magic "IRONSHRD"                          8
//	  8  version, 1                                2
//	 10  0                                         2
//	 12  CRC32C of bytes 0..11                     4   the same place in every version
//	 16  blob: incarnation, counter             8, 8
//	 32  plain bytes of the blob                   8   2^64-1: unknown when written
//	 40  bytes of the cells, their headers
//	     included                                  8   2^64-1: unknown when written
//	 48  generation                                4
//	 52  bytes of a full cell                      4
//	 56  k, m, shard index                   1, 1, 1
//	 59  0                                         5
//	 64  cluster id                               16
//	 80  disk id                                  16
//	 96  pack: incarnation, counter             8, 8
//	112  offset of this header in the pack         8
//	120  0                                         4
//	124  CRC32C of bytes 0..123                    4
//
// Cell, 64 bytes and its body:
//
//	 0  "CEL", version 1                           4
//	 4  k, m, shard index, 0              1, 1, 1, 1
//	 8  blob: incarnation, counter              8, 8
//	24  generation                                 4
//	28  stripe                                     4
//	32  bytes of the body                          4
//	36  CRC32C of the body                         4
//	40  XXH3-128 of the stripe's plain bytes      16
//	56  plain bytes of the stripe                  4
//	60  CRC32C of cluster, disk, pack, offset of
//	    this cell, bytes 0..59                     4
//
// Footer, 64 bytes, only behind the last cell of a shard of unknown length:
//
//	 0  "END", version 1                           4
//	 4  k, m, shard index, 0              1, 1, 1, 1
//	 8  blob: incarnation, counter              8, 8
//	24  generation                                 4
//	28  stripes                                    4
//	32  plain bytes of the blob                    8
//	40  0                                         20
//	60  CRC32C of cluster, disk, pack, offset of
//	    this footer, bytes 0..59                   4
const (
	shardHeaderBytes = 128
	cellHeaderBytes  = 64
	footerBytes      = 64

	shardMagic   = "IRONSHRD"
	shardVersion = 1
	cellMagic    = "CEL\x01"
	footerMagic  = "END\x01"
)

// FirstGeneration is the generation of a shard where Put placed it.
const FirstGeneration = 1

// BlobKey is the comparable form of an event.BlobID.
type BlobKey struct{ Incarnation, Counter uint64 }

// ID returns the blob's id as events name it.
func (k BlobKey) ID() *event.BlobID {
	return &event.BlobID{Incarnation: k.Incarnation, Counter: k.Counter}
}

// BlobKeyOf returns the comparable form of id.
func BlobKeyOf(id *event.BlobID) BlobKey {
	return BlobKey{Incarnation: id.GetIncarnation(), Counter: id.GetCounter()}
}

func (k BlobKey) String() string { return fmt.Sprintf("%x-%x", k.Incarnation, k.Counter) }

// ShardSpec is what a shard is, wherever it lies.
type ShardSpec struct {
	Blob       BlobKey
	Size       uint64 // plain bytes of the blob, or UnknownSize
	Cell       uint32 // bytes of a full cell
	Generation uint32
	K, M       uint8
	Index      uint8 // 0 .. K+M-1; below K: plain bytes
}

// layout returns the arithmetic of the shard's blob.
func (s *ShardSpec) layout() Layout {
	return Layout{K: uint32(s.K), Cell: s.Cell, Size: s.Size}
}

// check refuses a spec that no shard can have.
func (s *ShardSpec) check() error {
	n := int(s.K) + int(s.M)
	if n > MaxShards || int(s.Index) >= n || s.Generation == 0 || s.Blob == (BlobKey{}) {
		return fmt.Errorf("%w: shard %d of %d+%d, generation %d", ErrInvalid, s.Index, s.K, s.M, s.Generation)
	}
	return s.layout().check()
}

// origin is where the bytes of a shard lie: the part of its identity that the
// disk knows. It is bound into every checksum.
type origin struct {
	cluster, disk [16]byte
	pack          PackKey
	offset        uint64 // of the shard's header
}

// sum is the checksum of a cell's or footer's header at offset at of the pack.
func (o *origin) sum(at uint64, header []byte) uint32 {
	var place [56]byte
	copy(place[0:], o.cluster[:])
	if !sabotage.On(sabotage.X07) {
		copy(place[16:], o.disk[:])
	}
	binary.BigEndian.PutUint64(place[32:], o.pack.Incarnation)
	binary.BigEndian.PutUint64(place[40:], o.pack.Counter)
	binary.BigEndian.PutUint64(place[48:], at)
	return digest.CRC32C(place[:], header)
}

// encodeShard writes the header of a shard into the first 128 bytes of b.
func encodeShard(b []byte, s *ShardSpec, o *origin) {
	b = b[:shardHeaderBytes]
	clear(b)
	preamble(b, shardMagic, shardVersion)
	binary.BigEndian.PutUint64(b[16:], s.Blob.Incarnation)
	binary.BigEndian.PutUint64(b[24:], s.Blob.Counter)
	binary.BigEndian.PutUint64(b[32:], s.Size)
	cells := UnknownSize
	if s.Size != UnknownSize {
		cells = s.layout().ShardLength() - shardHeaderBytes
	}
	binary.BigEndian.PutUint64(b[40:], cells)
	binary.BigEndian.PutUint32(b[48:], s.Generation)
	binary.BigEndian.PutUint32(b[52:], s.Cell)
	b[56], b[57], b[58] = s.K, s.M, s.Index
	copy(b[64:], o.cluster[:])
	copy(b[80:], o.disk[:])
	binary.BigEndian.PutUint64(b[96:], o.pack.Incarnation)
	binary.BigEndian.PutUint64(b[104:], o.pack.Counter)
	binary.BigEndian.PutUint64(b[112:], o.offset)
	binary.BigEndian.PutUint32(b[124:], digest.CRC32C(b[:124]))
}

// decodeShard reads the header of a shard that was found at o. It is ErrForeign
// for an intact header that was written for another place.
func decodeShard(b []byte, o *origin) (ShardSpec, error) {
	var s ShardSpec
	if err := checkPreamble(b, shardMagic, shardVersion); err != nil {
		return s, err
	}
	if len(b) < shardHeaderBytes || binary.BigEndian.Uint32(b[124:]) != digest.CRC32C(b[:124]) {
		return s, fmt.Errorf("%w: shard header", ErrCorrupt)
	}
	s = ShardSpec{
		Blob:       BlobKey{binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])},
		Size:       binary.BigEndian.Uint64(b[32:]),
		Generation: binary.BigEndian.Uint32(b[48:]),
		Cell:       binary.BigEndian.Uint32(b[52:]),
		K:          b[56], M: b[57], Index: b[58],
	}
	var at origin
	copy(at.cluster[:], b[64:])
	copy(at.disk[:], b[80:])
	at.pack = PackKey{binary.BigEndian.Uint64(b[96:]), binary.BigEndian.Uint64(b[104:])}
	at.offset = binary.BigEndian.Uint64(b[112:])
	if s.check() != nil {
		return ShardSpec{}, fmt.Errorf("%w: shard header", ErrCorrupt)
	}
	var want [shardHeaderBytes]byte
	encodeShard(want[:], &s, &at)
	if string(want[:]) != string(b[:shardHeaderBytes]) {
		return ShardSpec{}, fmt.Errorf("%w: shard header", ErrCorrupt)
	}
	if at != *o {
		return s, fmt.Errorf("%w: shard header was written for pack %v at %d", ErrForeign, at.pack, at.offset)
	}
	return s, nil
}

// Cell is one cell of a shard. The body is the writer's and is only read, so
// that one body may be written to several disks.
type Cell struct {
	Stripe uint32
	Plain  uint32   // plain bytes of the whole stripe
	CRC    uint32   // CRC32C of Body
	Digest [16]byte // XXH3-128 of the stripe's plain bytes
	Body   []byte
}

// encodeCell writes the header of a cell that lies at offset at of its pack.
func encodeCell(b []byte, s *ShardSpec, o *origin, at uint64, c *Cell) {
	b = b[:cellHeaderBytes]
	encodeCommon(b, cellMagic, s)
	binary.BigEndian.PutUint32(b[28:], c.Stripe)
	binary.BigEndian.PutUint32(b[32:], uint32(len(c.Body)))
	binary.BigEndian.PutUint32(b[36:], c.CRC)
	copy(b[40:], c.Digest[:])
	binary.BigEndian.PutUint32(b[56:], c.Plain)
	binary.BigEndian.PutUint32(b[60:], o.sum(at, b[:60]))
}

// encodeCommon writes what cell and footer have in common: bytes 0..27.
func encodeCommon(b []byte, magic string, s *ShardSpec) {
	copy(b, magic)
	b[4], b[5], b[6], b[7] = s.K, s.M, s.Index, 0
	binary.BigEndian.PutUint64(b[8:], s.Blob.Incarnation)
	binary.BigEndian.PutUint64(b[16:], s.Blob.Counter)
	binary.BigEndian.PutUint32(b[24:], s.Generation)
}

// checkCell tells whether header and body are the cell that c names (stripe and
// plain length; its body's length), of shard s at o, in every field. It fills in
// the cell's checksum and digest.
func checkCell(header []byte, s *ShardSpec, o *origin, at uint64, c *Cell) error {
	copy(c.Digest[:], header[40:56])
	c.CRC = binary.BigEndian.Uint32(header[36:])
	if sabotage.On(sabotage.X08) {
		s.Generation = min(s.Generation, binary.BigEndian.Uint32(header[24:]))
	}
	var want [cellHeaderBytes]byte
	encodeCell(want[:], s, o, at, c)
	if string(want[:]) != string(header[:cellHeaderBytes]) {
		return foreignCell(header, o, at)
	}
	if digest.CRC32C(c.Body) != c.CRC {
		return fmt.Errorf("%w: body of a cell", ErrCorrupt)
	}
	return nil
}

// foreignCell tells an intact cell of something else, written at this very
// place, from damage.
func foreignCell(header []byte, o *origin, at uint64) error {
	if string(header[:4]) == cellMagic && binary.BigEndian.Uint32(header[60:]) == o.sum(at, header[:60]) {
		return fmt.Errorf("%w: cell", ErrForeign)
	}
	return fmt.Errorf("%w: cell header", ErrCorrupt)
}

// encodeFooter writes the footer of a shard of unknown length.
func encodeFooter(b []byte, s *ShardSpec, o *origin, at uint64, stripes uint32, size uint64) {
	b = b[:footerBytes]
	clear(b)
	encodeCommon(b, footerMagic, s)
	binary.BigEndian.PutUint32(b[28:], stripes)
	binary.BigEndian.PutUint64(b[32:], size)
	binary.BigEndian.PutUint32(b[60:], o.sum(at, b[:60]))
}

// decodeFooter reads a footer found at offset at; ok is false where there is none.
func decodeFooter(b []byte, s *ShardSpec, o *origin, at uint64) (stripes uint32, size uint64, ok bool) {
	if len(b) < footerBytes {
		return 0, 0, false
	}
	stripes = binary.BigEndian.Uint32(b[28:])
	size = binary.BigEndian.Uint64(b[32:])
	var want [footerBytes]byte
	encodeFooter(want[:], s, o, at, stripes, size)
	return stripes, size, string(want[:]) == string(b[:footerBytes])
}
