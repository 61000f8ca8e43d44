package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Any bytes as a frame: no panic, and what is taken is exactly what is written.
func FuzzFrame(f *testing.F) {
	o := origin{id: 3, salt: 77}
	f.Add(o.appendFrame(nil, 0, &Entry{Index: 1}))
	f.Add(o.appendFrame(nil, 2, &Entry{Index: 9, Term: 2, Type: 4, Data: []byte("abc"), Extensions: []byte("de"), AppendedAt: time.Unix(5, 6)}))
	mark := make([]byte, frameHeader)
	o.putMark(mark, 8)
	f.Add(mark)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, signed := range []bool{false, true} {
			b = bytes.Clone(b)
			if signed && len(b) >= frameHeader { // as if the checksum had been hit
				o.sign(b, binary.LittleEndian.Uint64(b[24:]))
			}
			n, ok := o.frameLen(b)
			if !ok || n > len(b) {
				continue
			}
			fr, ok := o.parse(b[:n])
			if !ok {
				continue
			}
			again := make([]byte, frameHeader)
			if fr.kind == kindMark {
				o.putMark(again, fr.index)
			} else {
				e := fr.entry()
				again = o.appendFrame(nil, fr.place, &e)[:n]
			}
			if fr.kind == kindEntry && !bytes.Equal(again, b[:n]) {
				t.Fatalf("% x was read as %+v, which is written % x", b[:n], fr, again)
			}
		}
	})
}

// Any bytes as the body of an open segment: no panic, and the entries that are
// found are consecutive and whole.
func FuzzScan(f *testing.F) {
	o := origin{id: 3, salt: 77}
	two := o.appendFrame(nil, 0, &Entry{Index: 1, Data: []byte("one")})
	two = o.appendFrame(two, 1, &Entry{Index: 2, Data: []byte("two")})
	three := append(bytes.Clone(two), make([]byte, blockBytes-len(two))...)
	three = o.appendFrame(three, 0, &Entry{Index: 3})
	f.Add(two, uint64(1))
	f.Add(three, uint64(1))
	f.Add(three[blockBytes:], uint64(3))
	f.Fuzz(func(t *testing.T, body []byte, base uint64) {
		if base == 0 || base >= maxIndex || len(body) > 1<<20 {
			return
		}
		b := make([]byte, blockUp(int64(len(body)))+2*blockBytes)
		copy(b[blockBytes:], body)
		s := newScan(&file{origin: o, f: vfs.NewMemFile(b), path: "f", size: int64(len(b)), base: base})
		if _, err := s.open(); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		if s.next != base+uint64(len(s.spans)) || s.batch > s.next {
			t.Fatalf("%d spans from %d to %d", len(s.spans), base, s.next)
		}
		for i, p := range s.spans {
			fr, ok := o.parse(b[p.offset : p.offset+p.length])
			if !ok || fr.index != base+uint64(i) {
				t.Fatalf("span %d holds no entry %d", i, base+uint64(i))
			}
		}
	})
}

// Any bytes as a manifest: strict, so that what is taken encodes to the same bytes.
func FuzzManifest(f *testing.F) {
	f.Add((&manifest{next: 1}).encode())
	f.Add((&manifest{next: 9, floor: 17, retired: []uint64{2, 4}, segments: []record{
		{origin{5, 1}, 10, 30}, {origin{8, 2}, 31, 0}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(m.encode(), b) {
			t.Fatalf("%+v encodes to other bytes", m)
		}
	})
}

// Any bytes as a slot.
func FuzzSlot(f *testing.F) {
	format := SlotFormat{Magic: Magic{'t', 'e', 's', 't'}, Version: 1, Bytes: blockBytes}
	s := Slots{format: format, generation: 3}
	for _, p := range []string{"", "a document"} {
		b, err := s.encode([]byte(p))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(b[:slotHeader+len(p)]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, signed := range []bool{false, true} {
			b = bytes.Clone(b)
			if n := len(b); signed && n >= slotHeader {
				binary.LittleEndian.PutUint32(b[24:], uint32(n-slotHeader))
				putPreamble(b, format.Magic, b[versionAt])
			}
			generation, document, err := decodeSlot(b, format)
			switch {
			case errors.Is(err, ErrNewer), errors.Is(err, ErrCorrupt):
			case err != nil:
				t.Fatal(err)
			default:
				s := Slots{format: SlotFormat{Magic: format.Magic, Version: 1, Bytes: int(blockUp(int64(len(b) + slotHeader)))}, generation: generation}
				again, err := s.encode(document)
				if n := slotHeader + len(document); err != nil || !bytes.Equal(again[:n], b[:n]) {
					t.Fatalf("% x is written % x (%v)", b, again[:n], err)
				}
			}
		}
	})
}
