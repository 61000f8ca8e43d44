package segment

import (
	"encoding/binary"
	"time"

	"ironman/wal/digest"
)

// Entry is one record of the log. The log keeps Data and Extensions by reference
// and hands them out again: they are immutable once appended.
type Entry struct {
	Index, Term uint64
	Type        uint8
	Data        []byte
	Extensions  []byte
	// AppendedAt keeps its instant to the nanosecond, not its zone.
	AppendedAt time.Time
}

// MaxEntryBytes bounds Data and Extensions of one entry together.
const MaxEntryBytes = 16 << 20

// A frame holds an entry, or is a mark. Frames begin at multiples of 8 bytes,
// those that begin a batch at multiples of 4096. Integers are little-endian:
//
//	 0         4          8        16        24        32        40
//	+---------+----------+--------+---------+---------+---------+
//	| CRC32C  | data     | salt   | segment | index   | term    |
//	|         | length   |        | id      |         |         |
//	+---------+----------+--------+---------+---------+---------+
//	 40        48         52        56       60     61     62    64
//	+---------+----------+---------+--------+------+------+-----+----------------------
//	| seconds | nano-    | ext.    | place  | kind | type | zero| extensions, data,
//	|         | seconds  | length  |        |      |      |     | zeros to 8 bytes
//	+---------+----------+---------+--------+------+------+-----+----------------------
//
// The CRC covers everything behind it but the padding, and so binds the frame to
// its segment and index. Place counts the frames of a batch from 0: index - place
// is the first index of the batch. Since a batch begins only after everything
// before it was acknowledged, a whole frame proves that all entries below that
// index were. A mark (kind 2) carries no entry: it stands where the next batch
// will begin, is written after the sync and not synced itself, and proves that all
// entries up to its index were acknowledged.
//
// Salt is a random number of the segment. Without it, a client could send the
// image of a frame as its data, and have a torn write taken for damage.
//
// Seconds and nanoseconds count from the Unix epoch; the version of frames is
// that of the segment's header.
const (
	frameHeader = 64
	saltAt      = 8
	placeAt     = 56
	kindEntry   = 1
	kindMark    = 2
)

// origin is what binds frames to their segment.
type origin struct{ id, salt uint64 }

// frame is a decoded header; body is extensions and data.
type frame struct {
	kind, typ   byte
	index, term uint64
	place       uint32
	ext         int
	at          time.Time
	body        []byte
}

// frameSize is the length of an entry's frame with its padding.
func frameSize(e *Entry) int64 {
	return align8(frameHeader + int64(len(e.Extensions)) + int64(len(e.Data)))
}

func align8(n int64) int64 { return (n + 7) &^ 7 }

// appendFrame appends the frame of e, the place-th of its batch. b must begin at a
// multiple of 8 of the file.
func (o origin) appendFrame(b []byte, place uint32, e *Entry) []byte {
	var h [frameHeader]byte
	start := len(b)
	b = append(b, h[:]...)
	b = append(b, e.Extensions...)
	b = append(b, e.Data...)
	f := b[start:]
	binary.LittleEndian.PutUint32(f[4:], uint32(len(e.Data)))
	binary.LittleEndian.PutUint64(f[32:], e.Term)
	binary.LittleEndian.PutUint64(f[40:], uint64(e.AppendedAt.Unix()))
	binary.LittleEndian.PutUint32(f[48:], uint32(e.AppendedAt.Nanosecond()))
	binary.LittleEndian.PutUint32(f[52:], uint32(len(e.Extensions)))
	binary.LittleEndian.PutUint32(f[placeAt:], place)
	f[60], f[61] = kindEntry, e.Type
	o.sign(f, e.Index)
	pad := align8(int64(len(f))) - int64(len(f))
	return append(b, h[:pad]...)
}

// putMark writes the mark for index into the start of b.
func (o origin) putMark(b []byte, index uint64) {
	f := b[:frameHeader]
	clear(f)
	f[60] = kindMark
	o.sign(f, index)
}

func (o origin) sign(f []byte, index uint64) {
	binary.LittleEndian.PutUint64(f[saltAt:], o.salt)
	binary.LittleEndian.PutUint64(f[16:], o.id)
	binary.LittleEndian.PutUint64(f[24:], index)
	binary.LittleEndian.PutUint32(f, digest.CRC32C(f[4:]))
}

// frameLen reads from a header how long its frame is without padding. False: h is
// not the header of a frame of this segment.
func (o origin) frameLen(h []byte) (int, bool) {
	if len(h) < frameHeader ||
		binary.LittleEndian.Uint64(h[saltAt:]) != o.salt || binary.LittleEndian.Uint64(h[16:]) != o.id {
		return 0, false
	}
	n := uint64(binary.LittleEndian.Uint32(h[4:])) + uint64(binary.LittleEndian.Uint32(h[52:]))
	if n > MaxEntryBytes {
		return 0, false
	}
	return frameHeader + int(n), true
}

// parse decodes a frame of exactly the length that frameLen told. False: damaged.
func (o origin) parse(b []byte) (frame, bool) {
	n, ok := o.frameLen(b)
	if !ok || n != len(b) || binary.LittleEndian.Uint32(b) != digest.CRC32C(b[4:]) {
		return frame{}, false
	}
	f := frame{
		kind: b[60], typ: b[61],
		index: binary.LittleEndian.Uint64(b[24:]),
		term:  binary.LittleEndian.Uint64(b[32:]),
		place: binary.LittleEndian.Uint32(b[placeAt:]),
		ext:   int(binary.LittleEndian.Uint32(b[52:])),
		body:  b[frameHeader:],
	}
	nanos := binary.LittleEndian.Uint32(b[48:])
	if b[62]|b[63] != 0 || nanos >= 1e9 || f.index == 0 || f.index > maxIndex || uint64(f.place) >= f.index {
		return frame{}, false
	}
	if f.kind != kindEntry && (f.kind != kindMark || len(f.body) != 0 || f.place != 0) {
		return frame{}, false
	}
	f.at = time.Unix(int64(binary.LittleEndian.Uint64(b[40:])), int64(nanos)).UTC()
	return f, true
}

// proves is the lowest index that is not proven acknowledged by this frame.
func (f *frame) proves() uint64 {
	if f.kind == kindMark {
		return f.index + 1
	}
	return f.index - uint64(f.place)
}

// entry is the entry of the frame; it aliases the frame's bytes.
func (f *frame) entry() Entry {
	e := Entry{Index: f.index, Term: f.term, Type: f.typ, AppendedAt: f.at}
	if f.ext > 0 {
		e.Extensions = f.body[:f.ext:f.ext]
	}
	if len(f.body) > f.ext {
		e.Data = f.body[f.ext:len(f.body):len(f.body)]
	}
	return e
}
