package link

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"
)

// pulse is the state of a session's pings. At most one is on its way.
type pulse struct {
	mu      sync.Mutex
	number  uint64        // of the last ping
	waiting bool          // it was not answered yet
	sent    time.Duration // uptime when it was sent
	wall    time.Time     // and this node's clock then
}

// tend pings, and ends a session that is silent. Hearing something is not enough:
// the other direction may be cut, so pings must be answered too.
func (s *session) tend(now time.Duration) {
	o := &s.l.opts
	p := &s.pulse
	p.mu.Lock()
	silent := now-time.Duration(s.heard.Load()) > o.Silence || p.waiting && now-p.sent > o.Silence
	ping := !p.waiting && (p.number == 0 || now-p.sent >= o.Ping)
	if ping {
		p.number++
		p.waiting, p.sent, p.wall = true, s.l.uptime(), o.Now()
	}
	number := p.number
	p.mu.Unlock()
	if silent {
		s.end(errSilent, nil)
	} else if ping {
		s.hurry(header{kind: framePing, length: pingBytes}, binary.BigEndian.AppendUint64(nil, number))
	}
}

// onPing answers.
func (s *session) onPing(payload []byte) error {
	came := s.l.opts.Now().UnixNano()
	payload = binary.BigEndian.AppendUint64(payload, uint64(came))
	payload = binary.BigEndian.AppendUint64(payload, uint64(s.l.opts.Now().UnixNano()))
	s.hurry(header{kind: framePong, length: pongBytes}, payload)
	return nil
}

// onPong makes a sample of the four stamps.
func (s *session) onPong(payload []byte) error {
	now, wall := s.l.uptime(), s.l.opts.Now()
	p := &s.pulse
	p.mu.Lock()
	right := p.waiting && binary.BigEndian.Uint64(payload) == p.number
	p.waiting = false
	sent, sentWall := p.sent, p.wall
	p.mu.Unlock()
	if !right {
		return fmt.Errorf("%w: an answer to no ping", errMalformed)
	}
	came := int64(binary.BigEndian.Uint64(payload[8:]))
	left := int64(binary.BigEndian.Uint64(payload[16:]))
	s.peer.clock.add(now-sent, sentWall.UnixNano(), came, left, wall.UnixNano(), now)
	return nil
}

const (
	samples = 8
	// stale is when a sample is forgotten: clocks drift.
	stale = 30 * time.Second
	// stepped is how far this node's clock and its monotonic one may differ over one
	// ping before the sample is dropped: the clock was set in between.
	stepped = 10 * time.Millisecond
	// drift is what two samples may differ beyond their own errors.
	drift = time.Millisecond
)

// sample is one measurement of another node's clock.
type sample struct {
	offset time.Duration // how far it is ahead; wrong by at most half of delay
	delay  time.Duration // of the network, there and back
	at     time.Duration // uptime
	zero   int64         // what this node's clock showed at uptime 0, as it was set then
}

// now is the offset by this node's clock as it is set now: wall, at an uptime. Who has been set
// since the sample knows at once that it is he who moved.
func (s *sample) now(wall int64, uptime time.Duration) time.Duration {
	set := difference(shownAgo(wall, uptime), s.zero)
	return difference(int64(s.offset), int64(set))
}

// shownAgo is what a clock showed a while ago, if nobody has set it.
func shownAgo(wall int64, ago time.Duration) int64 { return int64(difference(wall, int64(ago))) }

// clock estimates another node's clock from the last samples.
type clock struct {
	mu   sync.Mutex
	last []sample // the newest last, at most samples
}

// add enters the stamps of one ping: sent and back by this node's clock, came and
// left by the other's; elapsed is back - sent by the monotonic clock.
func (c *clock) add(elapsed time.Duration, sent, came, left, back int64, now time.Duration) {
	there, here := difference(left, came), difference(back, sent)
	if there < 0 || there > elapsed || (here-elapsed).Abs() > stepped {
		return // a clock was set in between, or the other node's stamps make no sense
	}
	s := sample{
		offset: difference(came, sent)/2 + difference(left, back)/2,
		delay:  elapsed - there,
		at:     now,
		zero:   shownAgo(back, now),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.last {
		// Two samples that cannot both be right: a clock was set, and the new one counts.
		if differ(s.offset, o.offset) > (s.delay+o.delay)/2+drift {
			c.last = c.last[:0]
			break
		}
	}
	if len(c.last) == samples {
		c.last = append(c.last[:0], c.last[1:]...)
	}
	c.last = append(c.last, s)
}

// best returns the sample with the shortest delay: the one with the smallest error.
func (c *clock) best(now time.Duration) (best sample, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.last {
		if now-s.at < stale && (!ok || s.delay < best.delay) {
			best, ok = s, true
		}
	}
	return best, ok
}

// difference is a - b, or the nearest duration.
func difference(a, b int64) time.Duration {
	d := a - b
	switch {
	case a > b && d < 0:
		return math.MaxInt64
	case a < b && d > 0:
		return math.MinInt64
	}
	return time.Duration(d)
}

// differ is how far two offsets are apart.
func differ(a, b time.Duration) time.Duration {
	return difference(int64(a), int64(b)).Abs()
}
