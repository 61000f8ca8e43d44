package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Hole is a run of entries whose frames do not verify, although they were
// acknowledged, between what does verify.
type Hole struct {
	// File holds it, from Offset on. Length goes up to the next whole frame, zeros
	// between batches included.
	File           string
	Offset, Length int64
	// First and Last are the indexes of its entries.
	First, Last uint64
	// Before and After are the terms of the entries that stand whole before and
	// behind it in the log; 0: there is none. What is in it lies between.
	Before, After uint64

	id uint64 // of the segment
	// place is what a frame at Offset has if it goes on with the batch before; 0: it cannot.
	place uint32
	// follows is the place of the whole frame behind the hole; 0: it begins a batch,
	// or is a mark.
	follows uint32
}

// Term is the term of its entries; 0: their neighbours do not tell.
func (h *Hole) Term() uint64 {
	if h.Before == h.After {
		return h.After
	}
	return 0
}

func (h *Hole) end() int64 { return h.Offset + h.Length }

// String describes it to a person.
func (h *Hole) String() string {
	what, term := fmt.Sprintf("entry %d", h.First), "of an unknown term"
	if h.Last > h.First {
		what = fmt.Sprintf("entries %d to %d", h.First, h.Last)
	}
	if t := h.Term(); t != 0 {
		term = fmt.Sprintf("of term %d", t)
	}
	return fmt.Sprintf("%s, %s, in the %d bytes at offset %d of %s", what, term, h.Length, h.Offset, h.File)
}

// Damage is the ErrCorrupt of a log that is whole but for some holes, each of which
// could be mended. Nothing was changed on disk.
type Damage struct {
	Holes []Hole
	// Err is why they were not mended; nil: nobody could (Options.Mend).
	Err error
}

func (d *Damage) Error() string {
	what := make([]string, len(d.Holes))
	for i := range d.Holes {
		what[i] = d.Holes[i].String()
	}
	why := ""
	if d.Err != nil {
		why = "; they could not be had from elsewhere: " + d.Err.Error()
	}
	return corrupt("the frames are damaged of %s%s", strings.Join(what, "; of "), why).Error()
}

// Unwrap is for errors.Is.
func (d *Damage) Unwrap() error { return ErrCorrupt }

// maxHole bounds the entries of a hole: whoever mends it has to have all of them in
// memory. With large ones that is a file, with small ones some hundred KiB of it.
const maxHole = 1024

// hole finds where the damage at pos ends: at the first whole frame behind it. last
// is where the segment is sealed; 0: it is open. What has no such end, or holds
// more than can be told apart, is a plain ErrCorrupt.
func (s *scan) hole(last uint64) error {
	f, at, err := s.nextFrame()
	if err != nil {
		return err
	}
	h := Hole{
		File: s.path, Offset: s.pos, Length: at - s.pos, First: s.next, id: s.id, place: s.place,
	}
	switch {
	case f == nil:
		return corrupt("%s: the frame of entry %d, expected at offset %d, is damaged, and nothing behind it shows where it ends; "+
			"the segment is sealed at entry %d", s.path, s.next, s.pos, last)
	case f.kind == kindMark:
		h.Last = f.index
	default:
		h.Last, h.follows = f.index-1, f.place
	}
	if h.Last < h.First || last != 0 && h.Last > last || h.Last-h.First >= maxHole || h.Length < int64(h.Last-h.First+1)*frameHeader {
		return corrupt("%s: the frame of entry %d, expected at offset %d, is damaged, and a frame of entry %d stands at offset %d; "+
			"the segment is sealed at entry %d", s.path, s.next, s.pos, f.index, at, last)
	}
	return &Damage{Holes: []Hole{h}}
}

// nextFrame is the first whole frame behind pos; nil: there is none.
func (s *scan) nextFrame() (*frame, int64, error) {
	for off := s.pos + saltAt; ; off += 8 {
		var word uint64
		var err error
		if off, word, err = s.w.nonzero(off); err != nil || off >= s.w.size {
			return nil, 0, err
		}
		if word != s.salt {
			continue
		}
		f, _, ok, err := s.frame(off - saltAt)
		if err != nil || ok {
			return &f, off - saltAt, err
		}
	}
}

// jump goes on behind a hole.
func (s *scan) jump(h *Hole) {
	s.spans = append(s.spans, make([]span, h.Last-h.First+1)...)
	s.pos, s.next, s.place = h.end(), h.Last+1, h.follows
	s.batch = s.next - uint64(h.follows)
}

// through runs read over a segment, past all holes.
func (s *scan) through(read func() error) ([]Hole, error) {
	var holes []Hole
	for {
		err := read()
		var d *Damage
		if !errors.As(err, &d) {
			return holes, err
		}
		holes = append(holes, d.Holes...)
		s.jump(&d.Holes[0])
	}
}

// framed is an entry's frame and where it belongs.
type framed struct {
	span
	bytes []byte // padded
}

// layoutSteps bounds the search for a layout: there are few to choose from, but for
// frames that were made for it.
const layoutSteps = 1 << 16

// layout finds how the frames of entries fill a hole: each stands right behind the
// one before in the same batch, or begins a batch at the next block. Where both
// fit, it is as good: a batch begins there only where what stands behind the hole
// proves that everything before was acknowledged. was is what stands in the hole,
// to find what stood there before. False: they are not the entries of the hole.
func (o origin) layout(h *Hole, entries []Entry, was []byte) ([]framed, bool) {
	steps := 0
	out := make([]framed, 0, len(entries))
	var fill func(pos int64, place uint32) bool
	fill = func(pos int64, place uint32) bool {
		if steps++; steps > layoutSteps || pos > h.end() {
			return false
		}
		if len(out) == len(entries) {
			return h.follows > 0 && pos == h.end() && place == h.follows || h.follows == 0 && blockUp(pos) == h.end()
		}
		e := &entries[len(out)]
		var ways []framed
		if place > 0 {
			ways = append(ways, o.framed(pos, place, e))
		}
		ways = append(ways, o.framed(blockUp(pos), 0, e))
		if len(ways) == 2 && ways[1].likeness(h, was) > ways[0].likeness(h, was) {
			ways[0], ways[1] = ways[1], ways[0]
		}
		for _, w := range ways {
			out = append(out, w)
			if fill(int64(w.offset)+int64(len(w.bytes)), w.place()+1) {
				return true
			}
			out = out[:len(out)-1]
		}
		return false
	}
	return out, fill(h.Offset, h.place)
}

func (o origin) framed(pos int64, place uint32, e *Entry) framed {
	b := o.appendFrame(nil, place, e)
	return framed{span{offset: uint32(pos), length: uint32(frameHeader + entryBytes(e))}, b}
}

func (f *framed) place() uint32 { return binary.LittleEndian.Uint32(f.bytes[placeAt:]) }

// likeness counts the bytes of the header that stand in the hole already.
func (f *framed) likeness(h *Hole, was []byte) (n int) {
	at := int64(f.offset) - h.Offset
	for i := int64(0); i < frameHeader && at+i < int64(len(was)); i++ {
		if was[at+i] == f.bytes[i] {
			n++
		}
	}
	return n
}

// Fits checks that entries are those of a hole as far as its neighbours tell.
func (h *Hole) Fits(entries []Entry) error {
	if uint64(len(entries)) != h.Last-h.First+1 {
		return fmt.Errorf("%d entries for the %d of a hole", len(entries), h.Last-h.First+1)
	}
	term := h.Before
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Index != h.First+uint64(i):
			return fmt.Errorf("entry %d where %d belongs", e.Index, h.First+uint64(i))
		case e.Term < term || h.After != 0 && e.Term > h.After || e.Term == 0:
			return fmt.Errorf("entry %d is of term %d, but stands between terms %d and %d", e.Index, e.Term, term, h.After)
		case entryBytes(e) > MaxEntryBytes:
			return fmt.Errorf("entry %d has %d bytes", e.Index, entryBytes(e))
		}
		term = e.Term
	}
	return nil
}
