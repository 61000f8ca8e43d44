package wal

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Streams is a StreamLayer over connections that somebody else makes: raft's
// address of a node is its id, so that a node may move without the log knowing.
// Safe for concurrent use.
type Streams struct {
	id     string
	dial   func(ctx context.Context, id string) (net.Conn, error)
	offers chan net.Conn
	once   sync.Once
	closed chan struct{}
}

var _ StreamLayer = (*Streams)(nil)

// NewStreams makes the streams of the node with that id. dial connects to another
// node; what other nodes connect is handed over with Offer.
func NewStreams(id string, dial func(ctx context.Context, id string) (net.Conn, error)) *Streams {
	return &Streams{id: id, dial: dial, offers: make(chan net.Conn), closed: make(chan struct{})}
}

// Offer hands a connection of another node to raft. It is closed if raft has stopped.
func (s *Streams) Offer(c net.Conn) {
	select {
	case s.offers <- c:
	case <-s.closed:
		_ = c.Close() // there is nobody to tell
	}
}

// Accept implements net.Listener.
func (s *Streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.offers:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *Streams) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr implements net.Listener.
func (s *Streams) Addr() net.Addr { return nodeAddr(s.id) }

// Dial implements StreamLayer.
func (s *Streams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.dial(ctx, string(address))
}

// nodeAddr is the id of a node as an address.
type nodeAddr string

func (nodeAddr) Network() string  { return "ironman" }
func (a nodeAddr) String() string { return string(a) }
