package erasure

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"ironman/wal/event"
)

// Record is a shard that a scan found in a pack.
type Record struct {
	// ShardSpec is what its header says. The size is that of the footer where the
	// header does not know it. It is zero where the header is damaged.
	ShardSpec
	Offset  uint64 // of its header in the pack
	Length  uint64 // bytes from there to the end of its last cell, as far as known
	Stripes uint32 // cells that are intact
	Damaged uint32 // cells that are not
	// Err is nil if the shard is complete and intact. Else it is ErrCorrupt,
	// ErrForeign where the header is intact, but was written for another place, or
	// ErrNewer. An incomplete shard may be damaged, or a write that was never
	// acknowledged.
	Err error
}

// Scan reads a pack of this node's disks from its bytes alone, and calls fn for
// each shard in it, in order. It passes over holes and damage to the next thing
// that looks like a shard. It returns ErrNewer for a pack or shard of a newer
// format, ErrCorrupt (after scanning it all) for a pack whose own header is
// damaged, and fn's error, which ends the scan.
func (s *Store) Scan(ctx context.Context, disk uint32, pack *event.PackID, fn func(Record) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	d, err := s.local(disk)
	if err != nil {
		return err
	}
	h, err := d.packs.hold(PackKeyOf(pack))
	if err != nil {
		return err
	}
	defer d.packs.release(h)
	f, err := d.packs.reader(h)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	ctx, stop := s.bound(ctx)
	defer stop()
	sc := &scanner{ctx: ctx, r: f, size: uint64(st.Size()), origin: d.origin(Place{Pack: h.key}), fn: fn}
	return sc.run()
}

// scanner walks over a pack.
type scanner struct {
	ctx    context.Context
	r      io.ReaderAt
	size   uint64
	origin origin // of the record at hand
	fn     func(Record) error
	buf    []byte
	failed error // the first read error
}

// scanStep is how much is searched at once for the next shard.
const scanStep = 1 << 20

func (sc *scanner) run() error {
	damaged := sc.packHeader()
	blank := sc.blank()
	if errors.Is(damaged, ErrNewer) {
		return damaged
	}
	for at := uint64(packHeaderBytes); at < sc.size; {
		if err := sc.ctx.Err(); err != nil {
			return err
		}
		at = sc.find(at)
		b := sc.read(at, shardHeaderBytes)
		if b == nil {
			break
		}
		if err := checkPreamble(b, shardMagic, shardVersion); errors.Is(err, ErrCorrupt) {
			at += uint64(len(shardMagic)) // somebody's bytes that look like it
			continue
		}
		sc.origin.offset = at
		spec, err := decodeShard(b, &sc.origin)
		blank = false
		rec := Record{ShardSpec: spec, Offset: at, Length: shardHeaderBytes, Err: err}
		if err == nil {
			sc.cells(&rec)
		}
		if err := sc.fn(rec); err != nil {
			return err
		}
		// Behind damage nothing is trusted to be as long as it says.
		if rec.Err == nil {
			at += max(rec.Length, shardHeaderBytes)
		} else {
			at += uint64(len(shardMagic))
		}
	}
	if blank {
		damaged = nil
	}
	return errors.Join(damaged, sc.failed)
}

// blank tells whether a header was never written. It is synced before the first
// shard is, so then there are none.
func (sc *scanner) blank() bool {
	n := min(sc.size, packHeaderBytes)
	b := sc.read(0, n)
	return uint64(len(b)) == n && len(bytes.Trim(b, "\x00")) == 0
}

// packHeader checks the header of the pack against where it was found.
func (sc *scanner) packHeader() error {
	b := sc.read(0, packHeaderBytes)
	h, err := decodePackHeader(b)
	if err != nil {
		return err
	}
	if h.cluster != sc.origin.cluster || h.disk != sc.origin.disk || h.pack != sc.origin.pack {
		return fmt.Errorf("%w: header of pack %v", ErrForeign, h.pack)
	}
	return nil
}

// read returns n bytes at an offset, nil where they are not to be had. The slice
// is good until the next read. The length is bounded by the file's.
func (sc *scanner) read(at, n uint64) []byte {
	if at > sc.size || n > sc.size-at {
		return nil
	}
	if uint64(cap(sc.buf)) < n {
		sc.buf = make([]byte, n)
	}
	b := sc.buf[:n]
	got, err := sc.r.ReadAt(b, int64(at))
	if uint64(got) == n {
		return b
	}
	if err != nil && err != io.EOF && sc.failed == nil {
		sc.failed = fmt.Errorf("erasure: pack %v at %d: %w", sc.origin.pack, at, err)
	}
	return nil
}

// find returns the first place from at on where a shard's header may begin. A
// step that cannot be read is passed over.
func (sc *scanner) find(at uint64) uint64 {
	for at < sc.size && sc.ctx.Err() == nil {
		n := min(scanStep, sc.size-at)
		if i := bytes.Index(sc.read(at, n), []byte(shardMagic)); i >= 0 {
			return at + uint64(i)
		}
		if n < scanStep {
			break
		}
		at += n - uint64(len(shardMagic)-1)
	}
	return sc.size
}

// cells checks the cells of a record whose header is intact.
func (sc *scanner) cells(rec *Record) {
	if rec.Size == UnknownSize {
		sc.unknownCells(rec)
		return
	}
	l := rec.layout()
	// A header may claim any size; the file bounds how many cells are looked at.
	for i := uint64(0); i < l.Stripes(); i++ {
		at := rec.Offset + l.CellOffset(i)
		if at >= sc.size {
			rec.Err = fmt.Errorf("%w: shard ends beyond its pack", ErrCorrupt)
			return
		}
		sc.cell(rec, at, uint32(i), uint32(l.PlainLength(i)))
	}
	rec.Length = l.ShardLength()
}

// cell checks one cell and counts it.
func (sc *scanner) cell(rec *Record, at uint64, stripe, plain uint32) {
	n := uint64(cellLength(uint32(rec.K), uint64(plain)))
	b := sc.read(at, cellHeaderBytes+n)
	err := fmt.Errorf("%w: cell %d ends beyond the pack", ErrCorrupt, stripe)
	if b != nil {
		err = checkCell(b, &rec.ShardSpec, &sc.origin, at, &Cell{Stripe: stripe, Plain: plain, Body: b[cellHeaderBytes:]})
	}
	if err != nil {
		rec.Damaged++
		rec.Err = err
		return
	}
	rec.Stripes++
}

// unknownCells walks over a shard whose header does not know its length: each
// cell says how long it is, and a footer ends it.
func (sc *scanner) unknownCells(rec *Record) {
	full := uint32(rec.layout().Stripe())
	var sum uint64
	at := rec.Offset + shardHeaderBytes
	for stripe := uint32(0); ; stripe++ {
		rec.Length = at - rec.Offset
		head := sc.read(at, cellHeaderBytes)
		if head == nil {
			break
		}
		if stripes, size, ok := decodeFooter(head, &rec.ShardSpec, &sc.origin, at); ok {
			rec.Size = size
			rec.Length += footerBytes
			if stripes != stripe || (rec.Err == nil && sum != size) {
				rec.Err = fmt.Errorf("%w: footer of %d stripes after %d", ErrCorrupt, stripes, stripe)
			}
			return
		}
		plain := binary.BigEndian.Uint32(head[56:])
		if string(head[:4]) != cellMagic || plain == 0 || plain > full {
			plain = full // damaged: every cell but the last is a full one
		}
		sc.cell(rec, at, stripe, plain)
		sum += uint64(plain)
		at += cellHeaderBytes + uint64(cellLength(uint32(rec.K), uint64(plain)))
	}
	rec.Err = fmt.Errorf("%w: shard without its end", ErrCorrupt)
}
