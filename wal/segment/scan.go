package segment

import "ironman/sim/sabotage"

// scan reads a segment's frames in order and, where they end, decides why.
type scan struct {
	origin
	path string
	w    window
	// pos is the end of the last good frame, a multiple of 8.
	pos int64
	// next is the index that the next entry must have, place its place if it
	// belongs to the same batch, batch the first index of that batch.
	next, batch uint64
	place       uint32
	spans       []span
}

func newScan(f *file) *scan {
	return &scan{origin: f.origin, path: f.path, w: window{f: f.f, size: f.size}, pos: blockBytes, next: f.base, batch: f.base}
}

// frame reads the frame at pos and its length. False: there is none that verifies.
func (s *scan) frame(pos int64) (frame, int, bool, error) {
	h, err := s.w.at(pos, frameHeader)
	if err != nil {
		return frame{}, 0, false, err
	}
	n, ok := s.frameLen(h)
	if !ok || pos+int64(n) > s.w.size {
		return frame{}, 0, false, nil
	}
	b, err := s.w.at(pos, n)
	if err != nil {
		return frame{}, 0, false, err
	}
	f, ok := s.parse(b)
	return f, n, ok, nil
}

// step takes the frame that continues the log: right behind the last one in the
// same batch, or at the next block as the first of a new batch. False: neither.
func (s *scan) step() (bool, error) {
	for _, pos := range [2]int64{s.pos, blockUp(s.pos)} {
		f, n, ok, err := s.frame(pos)
		if err != nil {
			return false, err
		}
		if !ok || f.kind != kindEntry || f.index != s.next {
			continue
		}
		follows := s.place > 0 && f.place == s.place && pos == s.pos
		begins := f.place == 0 && pos%blockBytes == 0
		if !follows && !begins {
			continue
		}
		if begins {
			s.batch = f.index
		}
		s.spans = append(s.spans, span{offset: uint32(pos), length: uint32(n)})
		s.pos, s.next, s.place = pos+align8(int64(n)), s.next+1, f.place+1
		return true, nil
	}
	return false, nil
}

// sealed reads the entries up to last, all of which must be there. After a *Damage it
// may go on behind the hole (through).
func (s *scan) sealed(last uint64) error {
	for s.next <= last {
		ok, err := s.step()
		if err != nil {
			return err
		}
		if !ok {
			return s.hole(last)
		}
	}
	return nil
}

// ending is what was found behind the last good frame of an open segment.
type ending struct {
	// proven: all entries read are known to have been acknowledged and synced.
	proven bool
	// torn: the remains of a batch in flight stand behind the last good frame.
	torn bool
}

// open reads entries as far as they go and examines all that follows them. After a
// *Damage it may go on behind the hole (through).
//
// The rule: damage is a torn write only if no whole frame behind it proves that
// one of the entries that cannot be read was acknowledged. What was in flight at a
// crash is one batch at most, so its frames prove nothing above its own first index.
func (s *scan) open() (ending, error) {
	for {
		ok, err := s.step()
		if err != nil {
			return ending{}, err
		}
		if !ok {
			break
		}
	}
	var e ending
	at := blockUp(s.pos)
	f, _, ok, err := s.frame(at)
	if err != nil {
		return ending{}, err
	}
	e.proven = len(s.spans) == 0 || ok && f.kind == kindMark && f.index+1 == s.next
	skip := int64(-1) // an accepted mark is not a remain
	if ok && e.proven && f.kind == kindMark && f.index+1 == s.next {
		skip = at
	}
	e.torn, err = s.remains(skip)
	return e, err
}

// remains looks at everything behind the last good frame, except for the mark at
// skip. False: zeros only. Whole frames there must fit a single torn batch.
func (s *scan) remains(skip int64) (torn bool, err error) {
	for off := s.pos; ; off += 8 {
		var word uint64
		off, word, err = s.w.nonzero(off)
		if err != nil || off >= s.w.size {
			return torn, err
		}
		if skip >= 0 && off >= skip && off < skip+frameHeader {
			continue
		}
		torn = true
		at := off - saltAt
		if word != s.salt || at < s.pos {
			continue
		}
		f, _, ok, err := s.frame(at)
		if err != nil {
			return false, err
		}
		if !ok || sabotage.On(sabotage.X11) {
			continue
		}
		if p := f.proves(); p > s.next {
			return false, s.hole(0)
		}
		if f.kind == kindMark || f.index <= s.next {
			return false, corrupt("%s: a frame of entry %d stands at offset %d, where entry %d or a later one belongs",
				s.path, f.index, at, s.next)
		}
	}
}
