package link

import (
	"net"
	"sync"
	"testing"
)

// proxy stands between two nodes. It can hold back the bytes of either direction
// without closing anything, as a network does that has lost a route.
type proxy struct {
	t      testing.TB
	listen net.Listener
	target string
	wg     sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	held    [2]bool // there, back
	conns   []net.Conn
	closed  bool
	dialed  int // connections that came
}

func newProxy(t testing.TB, target string) *proxy {
	p := &proxy{t: t, listen: listen(t), target: target}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.changed.Broadcast()
		p.mu.Unlock()
		p.listen.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listen.Addr().String() }

func (p *proxy) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		d, err := net.Dial("tcp", p.target)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.dialed++
		p.conns = append(p.conns, c, d)
		p.wg.Go(func() { p.forward(0, d, c) })
		p.wg.Go(func() { p.forward(1, c, d) })
		p.mu.Unlock()
	}
}

// forward copies until one side ends; what was read while held waits.
func (p *proxy) forward(direction int, to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		for p.held[direction] && !p.closed {
			p.changed.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// hold holds back, or lets go, what flows there and what flows back.
func (p *proxy) hold(there, back bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = [2]bool{there, back}
	p.changed.Broadcast()
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dialed
}
