package network

import (
	"context"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// machine is what bears the name of a host, through all its incarnations.
type machine struct {
	name string
	host *Host // the living incarnation; nil: none
	// off: nothing answers. On without a living host, it refuses.
	off       bool
	clog      time.Duration         // nothing to or from it arrives before
	refuse    map[int]time.Duration // until when, by port; 0: all ports. Looked up, never walked
	exhausted time.Duration         // until then no port is free
	lastPort  int
}

// Host is one incarnation of a machine: from its start to Kill or PowerOff.
type Host struct {
	name    string
	net     *Network
	machine *machine
	done    chan struct{}

	// Under the lock of the network:
	dead      bool
	paused    bool
	resumed   chan struct{}     // closed by Resume, while paused
	listeners map[int]*listener // looked up, never walked
	ports     []int             // of listeners, in the order of Listen
	// open are the ends that it dialled or accepted and has not closed. Never walked
	// but to be sorted.
	open map[*end]struct{}
}

// machine returns the one with a name; one that was never started is off.
func (n *Network) machine(name string) *machine {
	m := n.machines[name]
	if m == nil {
		m = &machine{name: name, off: true, refuse: make(map[int]time.Duration), lastPort: firstPort - 1}
		n.machines[name] = m
	}
	return m
}

// Host returns the living incarnation of a host, and starts one if there is none.
// Nothing of an incarnation before reaches the new one.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.machine(name)
	if m.host != nil {
		return m.host
	}
	wasOff := m.off
	m.off = false
	m.host = &Host{name: name, net: n, machine: m, done: make(chan struct{}), listeners: make(map[int]*listener), open: make(map[*end]struct{})}
	n.tell(Event{Kind: Booted, From: name})
	if wasOff {
		n.answer(m)
	}
	return m.host
}

// answer lets a machine that is on again reset what is still sent to its past.
func (n *Network) answer(m *machine) {
	now := n.now()
	for _, l := range n.walk(now) {
		for _, e := range l.ends() {
			if e.host.machine == m {
				e.in().resume(now)
			}
		}
	}
}

// walk returns the links that live, all their ends settled.
func (n *Network) walk(now time.Duration) []*link {
	list := append([]*link(nil), n.links...)
	for _, l := range list {
		l.a.settle(now)
		l.b.settle(now)
	}
	return append(list[:0], n.links...)
}

// Name of the host.
func (h *Host) Name() string { return h.name }

// Done is closed when this incarnation has ended.
func (h *Host) Done() <-chan struct{} { return h.done }

// Held is what its process has open, in words, sorted: ports, and connections that it
// has not closed, whether or not they still lead anywhere.
func (h *Host) Held() []string {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	var held []string
	for _, port := range h.ports {
		held = append(held, h.listeners[port].addr.String())
	}
	for e := range h.open {
		held = append(held, e.local.String()+" to "+e.remote.String())
	}
	slices.Sort(held)
	return held
}

// Listen opens a port; 0 means any.
func (h *Host) Listen(port int) (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.dead {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: net.ErrClosed}
	}
	if port == 0 {
		port = h.freePort()
	}
	at := addr(net.JoinHostPort(h.name, strconv.Itoa(port)))
	if h.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: at, Err: syscall.EADDRINUSE}
	}
	l := &listener{host: h, port: port, addr: at}
	h.listeners[port] = l
	h.ports = append(h.ports, port)
	return l, nil
}

// The ports that a machine gives to whoever does not ask for one.
const (
	firstPort = 32768
	lastPort  = 60999
)

func (h *Host) freePort() int {
	m := h.machine
	for {
		if m.lastPort++; m.lastPort > lastPort {
			m.lastPort = firstPort
		}
		if h.listeners[m.lastPort] == nil {
			return m.lastPort
		}
	}
}

// Dial connects to "host:port". Without an answer it tries until ctx ends or the
// Timeout of the network has passed.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	e, err := h.dial(ctx, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: addr(address), Err: err}
	}
	return conn{e}, nil
}

// Kill ends the process on a host: its calls fail, its connections are reset and
// its ports refuse until it is started again: F-P2.
func (n *Network) Kill(name string) { n.end(name, Killed, faultKill) }

// PowerOff ends the machine: nobody is told, and nobody answers: F-P2.
func (n *Network) PowerOff(name string) { n.end(name, PoweredOff, faultPowerOff) }

func (n *Network) end(name string, kind Kind, why fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	links := n.walk(now)
	m := n.machine(name)
	if m.host == nil && (m.off || kind == Killed) {
		return
	}
	n.tell(Event{Kind: kind, From: name})
	m.off = kind == PoweredOff
	if h := m.host; h != nil {
		m.host, h.dead = nil, true
		close(h.done)
		for _, port := range h.ports {
			h.listeners[port].end()
		}
	}
	for _, l := range links {
		for _, e := range l.ends() {
			switch {
			case e.host.machine != m:
			case kind == PoweredOff: // also what is left of a process before
				n.struck(why)
				e.vanish(now)
			case !e.hungUp:
				n.struck(why)
				e.kill(now, n.chance(n.o.CleanDeath))
			}
		}
	}
}

// Pause stops the process on a host, as SIGSTOP does: its calls wait, its
// connections stay, its machine goes on receiving: F-P4.
func (n *Network) Pause(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.machine(name).host
	if h == nil || h.paused {
		return
	}
	h.paused = true
	h.resumed = make(chan struct{})
	n.tell(Event{Kind: Paused, From: name})
}

// Resume ends a Pause.
func (n *Network) Resume(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.machine(name).host
	if h == nil || !h.paused {
		return
	}
	h.paused = false
	close(h.resumed)
	n.tell(Event{Kind: Resumed, From: name})
	for _, port := range h.ports {
		h.listeners[port].gate.wake()
	}
	now := n.now()
	for _, l := range n.walk(now) {
		for _, e := range l.ends() {
			if e.host != h {
				continue
			}
			e.wake()
			if e.closed {
				e.hangUp(now)
			}
		}
	}
}
