package network

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"
)

// dialling is one Dial.
type dialling struct {
	host       *Host
	ctx        context.Context
	to         *machine
	port       int
	path, back *path
	timer      *time.Timer
}

func (h *Host) dial(ctx context.Context, address string) (*end, error) {
	name, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(service)
	if err != nil {
		return nil, fmt.Errorf("network: %q is no port", service)
	}
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	d := &dialling{host: h, ctx: ctx, to: n.machine(name), port: port, path: n.path(h.name, name), back: n.path(name, h.name)}
	n.tell(Event{Kind: Dialled, From: h.name, To: address})
	e, err := d.run()
	if d.timer != nil {
		d.timer.Stop()
	}
	switch {
	case err == syscall.ECONNREFUSED || err == syscall.EADDRNOTAVAIL:
		n.tell(Event{Kind: Refused, From: h.name, To: address})
	case err != nil:
		n.tell(Event{Kind: Unanswered, From: h.name, To: address})
	}
	return e, err
}

// run sends a SYN and waits for the answer; without one, again and again.
func (d *dialling) run() (*end, error) {
	n := d.host.net
	giveUp := n.now() + n.o.Timeout
	for rto := firstSYN; ; rto *= 2 {
		if err := d.ready(); err != nil {
			return nil, err
		}
		now := n.now()
		if d.host.machine.exhausted > now {
			n.struck(faultExhaust)
			return nil, syscall.EADDRNOTAVAIL
		}
		again := min(now+rto, giveUp)
		if answer := d.answer(now); answer < again {
			if err := d.sleep(answer); err != nil {
				return nil, err
			}
			if err := d.ready(); err != nil {
				return nil, err
			}
			if e, err := d.connect(); e != nil || err != nil {
				return e, err
			}
		}
		if err := d.sleep(again); err != nil {
			return nil, err
		}
		if again == giveUp {
			return nil, syscall.ETIMEDOUT
		}
	}
}

// ready waits until the dialling host runs.
func (d *dialling) ready() error {
	n := d.host.net
	for {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		if d.host.dead {
			return net.ErrClosed
		}
		if !d.host.paused {
			return nil
		}
		n.struck(faultPause)
		resumed := d.host.resumed
		n.mu.Unlock()
		select {
		case <-resumed:
		case <-d.host.done:
		case <-d.ctx.Done():
		}
		n.mu.Lock()
	}
}

// answer returns when the answer to a SYN arrives that is sent now.
func (d *dialling) answer(now time.Duration) time.Duration {
	if !d.open() {
		return never
	}
	n := d.host.net
	there, here := n.arrival(d.path, now, 0), n.arrival(d.back, now, 0)
	if there == never || here == never {
		return never
	}
	return there + min(here-now, never-there)
}

// open says whether segments pass in both directions.
func (d *dialling) open() bool {
	n := d.host.net
	why := n.rules.cut(d.host.name, d.to.name, d.port, "")
	if why == noFault {
		why = n.rules.cut(d.to.name, d.host.name, d.port, "")
	}
	if why == noFault && d.to.off {
		why = faultPowerOff
	}
	if why != noFault {
		n.struck(why)
	}
	return why == noFault
}

// connect is the moment of the answer; nil and no error: there was none.
func (d *dialling) connect() (*end, error) {
	if !d.open() {
		return nil, nil
	}
	n := d.host.net
	if now := n.now(); d.to.refuse[0] > now || d.to.refuse[d.port] > now {
		n.struck(faultRefuse)
		return nil, syscall.ECONNREFUSED
	}
	if d.to.host == nil {
		return nil, syscall.ECONNREFUSED
	}
	l := d.to.host.listeners[d.port]
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	if len(l.backlog) >= n.o.Backlog {
		return nil, nil
	}
	e := n.join(d, l)
	now := n.now()
	at := n.arrival(d.path, now, 0)
	if at == never { // an endless loss takes the first segment, too
		at = now
	}
	e.out.last = at
	l.backlog = append(l.backlog, incoming{e.peer, at})
	l.gate.wake()
	n.tellOf(Opened, e, 0)
	e.host.open[e] = struct{}{}
	return e, nil
}

// join makes the connection.
func (n *Network) join(d *dialling, l *listener) *end {
	n.lastLink++
	k := &link{id: n.lastLink, port: l.port}
	local := addr(net.JoinHostPort(d.host.name, strconv.Itoa(d.host.freePort())))
	k.a = end{host: d.host, peer: &k.b, local: local, remote: l.addr, out: flow{path: d.path}}
	k.b = end{host: l.host, peer: &k.a, local: l.addr, remote: local, out: flow{path: d.back}}
	for _, e := range k.ends() {
		e.net, e.link = n, k
		e.readBy, e.writeBy, e.resetAt = never, never, never
		f := &e.out
		f.net, f.src, f.dst, f.stuck = n, e, e.peer, never
	}
	n.links = append(n.links, k)
	return &k.a
}

// sleep gives up the lock until a time, the end of ctx, or that of the host.
func (d *dialling) sleep(until time.Duration) error {
	n := d.host.net
	wait := until - n.now()
	if wait <= 0 {
		return nil
	}
	n.mu.Unlock()
	if d.timer == nil {
		d.timer = time.NewTimer(wait)
	} else {
		d.timer.Reset(wait)
	}
	select {
	case <-d.timer.C:
	case <-d.host.done:
	case <-d.ctx.Done():
		d.timer.Stop()
	}
	n.mu.Lock()
	if d.host.dead {
		return net.ErrClosed
	}
	return d.ctx.Err()
}
