package wal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// wire is a network of loopback TCP between nodes. What node a sends on connections
// that it made to b, and the answers of b on those, pass a proxy that can be cut
// (connections break, new ones are refused) or held (bytes stay on the way).
type wire struct {
	t *testing.T

	mu    sync.Mutex
	ports map[string]string // address of each node's listener
	nodes map[string]*Node  // that Ask reaches
	ways  map[[2]string]*way
	done  sync.WaitGroup
}

// way is one direction of making connections.
type way struct {
	listener net.Listener

	mu       sync.Mutex
	cut      bool
	conns    map[net.Conn]bool
	requests gate // what a sends
	answers  gate // what b sends back
}

// gate lets pass or holds.
type gate struct {
	mu   sync.Mutex
	held chan struct{} // closed when let go; nil: open
}

func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = make(chan struct{})
	}
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		close(g.held)
		g.held = nil
	}
}

func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	held := g.held
	g.mu.Unlock()
	if held == nil {
		return nil
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newWire(t *testing.T) *wire {
	w := &wire{t: t, ports: make(map[string]string), nodes: make(map[string]*Node), ways: make(map[[2]string]*way)}
	t.Cleanup(w.close)
	return w
}

func (w *wire) close() {
	w.heal()
	w.mu.Lock()
	for _, y := range w.ways {
		y.listener.Close()
		y.sever()
	}
	w.mu.Unlock()
	w.done.Wait()
}

// way returns the proxy between two nodes.
func (w *wire) way(from, to string) *way {
	w.mu.Lock()
	defer w.mu.Unlock()
	y := w.ways[[2]string{from, to}]
	if y == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		y = &way{listener: l, conns: make(map[net.Conn]bool)}
		w.ways[[2]string{from, to}] = y
		w.done.Go(func() { w.serve(y, to) })
	}
	return y
}

func (w *wire) serve(y *way, to string) {
	for {
		in, err := y.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		addr := w.ports[to]
		w.mu.Unlock()
		out, err := net.Dial("tcp", addr)
		if err != nil || !y.keep(in, out) {
			in.Close()
			if err == nil {
				out.Close()
			}
			continue
		}
		w.done.Go(func() { y.carry(out, in, &y.requests) })
		w.done.Go(func() { y.carry(in, out, &y.answers) })
	}
}

func (y *way) keep(conns ...net.Conn) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.cut {
		return false
	}
	for _, c := range conns {
		y.conns[c] = true
	}
	return true
}

func (y *way) carry(to, from net.Conn, g *gate) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil || g.pass(context.Background()) != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// sever breaks all connections.
func (y *way) sever() {
	y.mu.Lock()
	defer y.mu.Unlock()
	for c := range y.conns {
		c.Close()
		delete(y.conns, c)
	}
}

func (y *way) setCut(cut bool) {
	y.mu.Lock()
	y.cut = cut
	y.mu.Unlock()
	if cut {
		y.sever()
	}
}

func (y *way) isCut() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.cut
}

// oneWay cuts the connections that one node made to another.
func (w *wire) oneWay(from, to string) { w.way(from, to).setCut(true) }

// cut cuts one node off the others, both ways.
func (w *wire) cut(id string, others ...string) {
	for _, o := range others {
		w.way(id, o).setCut(true)
		w.way(o, id).setCut(true)
	}
}

// heal mends everything.
func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, y := range w.ways {
		y.setCut(false)
		y.requests.release()
		y.answers.release()
	}
}

// ask is the Ask of the node called from.
func (w *wire) ask(from string) func(context.Context, string, []byte) ([]byte, error) {
	return func(ctx context.Context, to string, request []byte) ([]byte, error) {
		y := w.way(from, to)
		w.mu.Lock()
		n := w.nodes[to]
		w.mu.Unlock()
		if y.isCut() || n == nil {
			return nil, fmt.Errorf("%w: there is no way from %s to %s", ErrNotDone, from, to)
		}
		if err := y.requests.pass(ctx); err != nil {
			return nil, err
		}
		b, err := n.Answer(ctx, from, append([]byte(nil), request...))
		if err != nil {
			return nil, err
		}
		if err := y.answers.pass(ctx); err != nil {
			return nil, err
		}
		if y.isCut() {
			return nil, errors.New("the connection broke")
		}
		return b, ctx.Err()
	}
}

// layer is a node's StreamLayer.
type layer struct {
	net.Listener
	wire *wire
	id   string

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

func (w *wire) listen(id string) *layer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.ports[id] = l.Addr().String()
	w.mu.Unlock()
	return &layer{Listener: l, wire: w, id: id}
}

func (l *layer) keep(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	l.conns = append(l.conns, c)
	return c, nil
}

func (l *layer) Accept() (net.Conn, error) { return l.keep(l.Listener.Accept()) }

func (l *layer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	y := l.wire.way(l.id, string(to))
	if y.isCut() {
		return nil, errors.New("there is no way")
	}
	return l.keep(net.DialTimeout("tcp", y.listener.Addr().String(), timeout))
}

func (l *layer) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.conns {
		c.Close()
	}
	return l.Listener.Close()
}
