package network

import "time"

// gate is where the calls on one side of a connection wait. The lock of the
// network guards it.
type gate struct {
	token   chan struct{} // holds one; made when first waited for
	waiting int
	timer   *time.Timer // stopped, and free for the next one who waits; nil: none yet, or lent
}

// wake lets one waiting call look again. A call that was let in and leaves wakes
// the next one, so that nobody is forgotten.
func (g *gate) wake() {
	if g.waiting == 0 {
		return
	}
	select {
	case g.token <- struct{}{}:
	default:
	}
}

// wait gives up the lock until somebody wakes the gate, or until the given time,
// if that comes.
func (n *Network) wait(g *gate, now, until time.Duration) {
	if g.token == nil {
		g.token = make(chan struct{}, 1)
	}
	g.waiting++
	if until >= forever {
		n.mu.Unlock()
		<-g.token
		n.mu.Lock()
		g.waiting--
		return
	}
	t := g.timer
	g.timer = nil
	n.mu.Unlock()
	if t == nil {
		t = time.NewTimer(until - now)
	} else {
		t.Reset(until - now)
	}
	select {
	case <-g.token:
	case <-t.C:
	}
	t.Stop()
	n.mu.Lock()
	g.waiting--
	g.timer = t
}
