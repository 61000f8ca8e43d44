package network

import "time"

// maxSegment bounds what arrives at one time.
const maxSegment = 64 << 10

// segment is bytes on their way, or the end of them.
type segment struct {
	at  time.Duration // when it arrives; never: held until a heal
	buf []byte
	off int // what was read of buf
	fin bool
}

// flow is one direction of a connection. Nothing moves by itself: a segment
// carries the time of its arrival, and who reads looks at the clock.
type flow struct {
	net      *Network
	src, dst *end
	path     *path

	// q[head:] has been sent and not read. Arrivals ascend; held segments are last.
	q    []segment
	head int
	// size is how many bytes src may not send because of those it has sent: what is
	// not read, and what is read but not acknowledged (owed).
	size, owed int
	last       time.Duration // the latest arrival: order is kept
	// stuck is since when something sent has gone without an acknowledgement
	// although it should have come; never: nothing.
	stuck time.Duration
	cut   fault // of the rules; noFault: open
	holed bool  // nothing of this connection passes any more
}

// back is the other direction.
func (f *flow) back() *flow { return &f.dst.out }

// dropped says why nothing of this direction reaches the other machine.
func (f *flow) dropped() fault {
	switch {
	case f.cut != noFault:
		return f.cut
	case f.holed:
		return faultBlackhole
	case f.dst.host.machine.off:
		return faultPowerOff
	}
	return noFault
}

// stall begins the patience of src, if it has not begun.
func (f *flow) stall(now time.Duration) {
	if now < f.stuck {
		f.stuck = now
		f.src.wake() // whoever waits does so without that end in mind
	}
}

// probe asks for room in a full window, when nothing else is on its way that would
// tell src that there will never be any.
func (f *flow) probe(now time.Duration) {
	if f.stuck != never || f.src.resetAt != never {
		return
	}
	why := f.dropped()
	if why == noFault {
		why = f.back().dropped()
	}
	switch {
	case why != noFault:
		f.net.struck(why)
		f.stall(now)
	case f.dst.deaf():
		f.unheard(now)
	}
}

// send takes bytes from src, or their end.
func (f *flow) send(now time.Duration, b []byte, fin bool) {
	f.dst.settle(now)
	f.size += len(b)
	if f.dst.deaf() {
		if !fin || f.dst.gone {
			f.unheard(now)
		}
		return
	}
	s := segment{at: f.schedule(now, len(b)), fin: fin}
	if len(b) > 0 {
		s.buf = f.net.copied(b)
		if f.net.chance(f.path.Corrupt) {
			f.net.struck(faultCorrupt)
			bit := f.net.o.Rng.IntN(8 * len(b))
			s.buf[bit/8] ^= 1 << (bit % 8)
			f.net.tellOf(Corrupted, f.src, len(b))
		}
	}
	f.push(s)
	f.dst.rd.wake()
}

func (f *flow) push(s segment) {
	if len(f.q) == cap(f.q) && f.head > len(f.q)/2 {
		n := copy(f.q, f.q[f.head:])
		clear(f.q[n:])
		f.q, f.head = f.q[:n], 0
	}
	f.q = append(f.q, s)
}

// schedule returns when a segment arrives that is sent now.
func (f *flow) schedule(now time.Duration, bytes int) time.Duration {
	if why := f.dropped(); why != noFault {
		f.net.struck(why)
		f.stall(now)
		return never
	}
	if f.head < len(f.q) && f.q[len(f.q)-1].at == never {
		return never
	}
	at := f.net.arrival(f.path, now, bytes)
	if at == never {
		f.stall(now)
		return never
	}
	f.last = max(f.last, at)
	if why := f.back().dropped(); why != noFault {
		f.net.struck(why) // its acknowledgement
		f.stall(now)
	}
	return f.last
}

// unheard is what happens to bytes for an end that does not exist any more: its
// machine answers with a reset, if both can be delivered.
func (f *flow) unheard(now time.Duration) {
	back := f.back()
	for _, way := range []*flow{f, back} {
		if why := way.dropped(); why != noFault {
			f.net.struck(why)
			f.stall(now)
			return
		}
	}
	there, here := f.net.arrival(f.path, now, 0), f.net.arrival(back.path, now, 0)
	if there == never || here == never {
		f.stall(now)
		return
	}
	f.src.resetAt = min(f.src.resetAt, max(there, f.last)+(here-now))
	f.src.wake()
}

// read moves what has arrived into p.
func (f *flow) read(now time.Duration, p []byte) int {
	m := 0
	for m < len(p) && f.head < len(f.q) {
		s := &f.q[f.head]
		if s.at > now || s.fin {
			break
		}
		k := copy(p[m:], s.buf[s.off:])
		m += k
		if s.off += k; s.off < len(s.buf) {
			break
		}
		f.net.release(s.buf)
		f.q[f.head] = segment{}
		f.head++
	}
	if f.head == len(f.q) {
		f.q, f.head = f.q[:0], 0
	}
	if m == 0 {
		return 0
	}
	if why := f.back().dropped(); why != noFault && !f.src.gone {
		f.owed += m // src will not hear that there is room
	} else {
		f.size -= m
		f.src.wr.wake()
	}
	return m
}

// next returns when the first segment arrives, and whether that is the end.
func (f *flow) next() (at time.Duration, fin bool) {
	if f.head == len(f.q) {
		return never, false
	}
	return f.q[f.head].at, f.q[f.head].fin
}

// flying returns the index of the first segment that has not arrived.
func (f *flow) flying(now time.Duration) int {
	i := f.head
	for i < len(f.q) && f.q[i].at <= now {
		i++
	}
	return i
}

// lose takes what is under way off the wire, to be sent again after a heal.
func (f *flow) lose(now time.Duration, why fault) {
	lost := false
	for i := f.flying(now); i < len(f.q); i++ {
		if f.q[i].at != never {
			f.net.struck(why)
			f.q[i].at = never
			lost = true
		}
	}
	if f.dst.resetAt > now && f.dst.resetAt != never {
		f.net.struck(why)
		f.dst.resetAt = never
		if f.back().size > 0 {
			f.back().stall(now) // what the reset answered is still unanswered
		}
	}
	if lost {
		f.stall(now)
	}
	f.last = min(f.last, now)
	if back := f.back(); back.flying(now) < len(back.q) {
		back.stall(now) // for want of the acknowledgement
	}
	f.src.wr.wake() // a full window is probed
	f.dst.wr.wake()
}

// resume goes on after a heal: src sends again what was not acknowledged when its
// next retransmission is due.
func (f *flow) resume(now time.Duration) {
	if f.src.gone || f.dropped() != noFault {
		return
	}
	stuck := f.stuck
	if f.back().dropped() == noFault {
		f.stuck = never
		f.size -= f.owed
		f.owed = 0
		f.src.wr.wake()
	}
	if stuck == never {
		return
	}
	due := f.net.retry(stuck, now)
	if f.dst.deaf() {
		if f.size > 0 || f.dst.gone {
			f.unheard(due)
		}
		return
	}
	for i := f.flying(now); i < len(f.q); i++ {
		s := &f.q[i]
		if s.at != never {
			continue
		}
		if at := f.net.arrival(f.path, due, len(s.buf)); at != never {
			f.last = max(f.last, at)
			s.at = f.last
			continue
		}
		f.stall(now)
		break
	}
	f.dst.rd.wake()
}

// retry returns when the first retransmission after now is due of what has been
// stuck since then.
func (n *Network) retry(stuck, now time.Duration) time.Duration {
	at, rto := stuck+firstRTO, firstRTO
	for at <= now {
		rto = min(2*rto, n.o.MaxRTO)
		at += rto
	}
	return at
}

// hurry brings what a clog held back.
func (f *flow) hurry(now time.Duration) {
	f.last = now
	if l := f.dst.host.listeners[f.dst.link.port]; l != nil {
		l.hurry(f.dst, now+f.net.delay(f.path))
	}
	for i := f.flying(now); i < len(f.q) && f.q[i].at != never; i++ {
		f.last = max(f.last, min(f.q[i].at, now+f.net.delay(f.path)))
		f.q[i].at = f.last
	}
	if f.dst.resetAt != never {
		f.dst.resetAt = min(f.dst.resetAt, now+f.net.delay(f.path))
	}
	f.dst.wake()
}

// truncate drops what arrives after a time.
func (f *flow) truncate(after time.Duration) {
	i := f.flying(after)
	clear(f.q[i:])
	f.q = f.q[:i]
}

// dropHeld forgets what nobody will send again.
func (f *flow) dropHeld() { f.truncate(never - 1) }

// spares bounds how many large buffers are kept for the next segments.
const (
	spares     = 32
	spareBytes = 4 << 10
)

// copied returns a copy of b.
func (n *Network) copied(b []byte) []byte {
	if k := len(n.spare) - 1; k >= 0 && len(b) >= spareBytes && len(b) <= cap(n.spare[k]) {
		buf := n.spare[k][:len(b)]
		n.spare = n.spare[:k]
		copy(buf, b)
		return buf
	}
	return append([]byte(nil), b...)
}

func (n *Network) release(b []byte) {
	if cap(b) >= spareBytes && len(n.spare) < spares {
		n.spare = append(n.spare, b)
	}
}
