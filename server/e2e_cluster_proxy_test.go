package server_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands in front of a node's link. Every node dials from an address of its
// own, so the proxy knows who speaks, and can cut exactly that: the bytes of one
// node, in one direction, as a broken cable would, without a word to either side.
// What is on its way then is held, and arrives when the cut heals. It can also slow a
// node's bytes down, reset its connections, or let them fall silent for good.
type proxy struct {
	listener net.Listener
	target   string // address of the node's link
	done     sync.WaitGroup

	mu     sync.Mutex
	change *sync.Cond // of cuts or closed
	cuts   map[string]cut
	conns  map[net.Conn]string // the node that speaks, by its source; both ends
	silent map[net.Conn]bool   // nothing that one of these sends arrives any more
	held   int                 // how often something was held or slowed down
	closed bool
}

// cut is what does not pass between a node and the one behind the proxy.
type cut struct {
	in  bool // to the one behind the proxy
	out bool // from it
	// delay holds each piece for so long.
	delay time.Duration
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, cuts: make(map[string]cut), conns: make(map[net.Conn]string), silent: make(map[net.Conn]bool)}
	p.change = sync.NewCond(&p.mu)
	p.done.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// sourceOf is the address from which a node dials others.
func sourceOf(node int) string { return fmt.Sprintf("127.0.0.%d", 10+node) }

// set cuts or heals what passes between a node and the one behind the proxy.
func (p *proxy) set(node int, c cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts[sourceOf(node)] = c
	p.change.Broadcast()
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.change.Broadcast()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	_ = p.listener.Close()
	p.done.Wait()
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(c) })
	}
}

// reset breaks all connections of a node, and tells how many that were.
func (p *proxy) reset(node int) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, source := range p.conns {
		if source != sourceOf(node) {
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
		n++
	}
	return n
}

// silence lets all connections of a node fall silent: what is sent is taken and goes
// nowhere, and not even an end arrives. It tells how many that were.
func (p *proxy) silence(node int) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, source := range p.conns {
		if source == sourceOf(node) {
			p.silent[c] = true
			n++
		}
	}
	return n
}

// holds counts what a cut has held, or slowed down.
func (p *proxy) holds() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// keep remembers a connection, for close; false if the proxy is closed.
func (p *proxy) keep(c net.Conn, source string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.conns[c] = source
	}
	return !p.closed
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.silent, c)
	p.mu.Unlock()
	_ = c.Close()
}

// await waits until nothing that stops finds is cut; false if the proxy is closed.
func (p *proxy) await(source string, stops func(cut) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stops(p.cuts[source]) {
		p.held++
	}
	for stops(p.cuts[source]) && !p.closed {
		p.change.Wait()
	}
	return !p.closed
}

// slow waits as long as a piece is to take.
func (p *proxy) slow(source string) {
	p.mu.Lock()
	delay := p.cuts[source].delay
	if delay > 0 {
		p.held++
	}
	p.mu.Unlock()
	time.Sleep(delay)
}

func (p *proxy) isSilent(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent[c]
}

// serve connects one connection. A connection needs both directions to come about.
func (p *proxy) serve(front net.Conn) {
	defer p.drop(front)
	source, _, err := net.SplitHostPort(front.RemoteAddr().String())
	if err != nil || !p.keep(front, source) || !p.await(source, func(c cut) bool { return c.in || c.out }) {
		return
	}
	back, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer p.drop(back)
	if !p.keep(back, source) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(back, front, source, func(c cut) bool { return c.in }) })
	both.Go(func() { p.copy(front, back, source, func(c cut) bool { return c.out }) })
	both.Wait()
}

// copy carries one direction. While that is cut, not even an end passes.
func (p *proxy) copy(to, from net.Conn, source string, stops func(cut) bool) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.slow(source)
		if !p.await(source, stops) {
			return
		}
		if p.isSilent(from) {
			if err != nil {
				return
			}
			continue
		}
		if n > 0 {
			if _, e := to.Write(b[:n]); e != nil {
				err = e
			}
		}
		if err == nil {
			continue
		}
		if c, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
			_ = c.CloseWrite()
			return
		}
		_ = to.Close() // a reset is one for both
		_ = from.Close()
		return
	}
}
