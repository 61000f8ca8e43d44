package link

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Link is a node's end of all its connections to other nodes.
type Link struct {
	opts  Options
	log   *slog.Logger
	cert  tls.Certificate
	nonce [nonceBytes]byte // of this start
	pool  chunkPool
	gate  gate
	hush  hush

	// opened is the origin of uptime.
	opened time.Time
	ctx    context.Context // ends when Close begins
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	peers  map[uint32]*peer
	// strangers are accepted connections that have not been judged yet, oldest first.
	strangers []net.Conn
}

// Open starts a link: it listens, and dials when it is asked to.
func Open(o Options) (*Link, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	l := &Link{opts: o, log: o.Logger, peers: make(map[uint32]*peer), opened: time.Now()}
	var err error
	if l.cert, err = certificate(o.Key); err != nil {
		return nil, err
	}
	rand.Read(l.nonce[:]) // never fails (crypto/rand)
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.wg.Go(l.accept)
	l.wg.Go(l.tend)
	return l, nil
}

// Close ends all connections, with every call and stream on them, and waits for all
// goroutines, those of CallFuncs and StreamFuncs included.
func (l *Link) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		l.wg.Wait()
		return nil
	}
	l.closed = true
	strangers := l.strangers
	l.strangers = nil
	l.mu.Unlock()
	l.stop()
	err := l.opts.Listener.Close()
	for _, c := range strangers {
		c.Close()
	}
	for _, p := range l.everyPeer() {
		p.end(ErrClosed, &Error{Code: CodeClosing, Text: "the node is stopping"})
	}
	l.wg.Wait()
	return err
}

// uptime is the monotonic time since Open: it measures, and knows no date.
func (l *Link) uptime() time.Duration { return time.Since(l.opened) }

// start runs f on a goroutine that Close waits for; false if the link is closed.
func (l *Link) start(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.wg.Go(f)
	return true
}

// peer returns what is kept about a node.
func (l *Link) peer(node uint32) *peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[node]
	if p == nil {
		p = newPeer(l, node)
		l.peers[node] = p
	}
	return p
}

// everyPeer returns them all, by number.
func (l *Link) everyPeer() []*peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	ps := make([]*peer, 0, len(l.peers))
	for _, node := range slices.Sorted(maps.Keys(l.peers)) {
		ps = append(ps, l.peers[node])
	}
	return ps
}

// PeerState is what the link knows of another node.
type PeerState struct {
	Node uint32
	// Connected: this node has a session of its own to it, on which it can call.
	Connected bool
	// Incoming: it has one to this node.
	Incoming bool
	Boot     uint64    // of its newest start that was let in
	Heard    time.Time // when anything came from it, by this node's clock; zero: never
	// Offset is how far its clock is ahead of this one's, wrong by at most half of
	// RoundTrip. Both are of the best of the last few measurements.
	Offset    time.Duration
	RoundTrip time.Duration
	Measured  bool  // Offset and RoundTrip are known
	Err       error // why there is no session, if there is none
}

// Peers returns the state of the members that this node has had to do with, by number.
func (l *Link) Peers() []PeerState {
	var states []PeerState
	for _, p := range l.everyPeer() {
		if _, ok := l.opts.Peer(p.node); ok {
			states = append(states, p.state())
		}
	}
	return states
}

// tend looks after all sessions: pings, silence, membership, lost connections.
func (l *Link) tend() {
	pulse := min(l.opts.Ping, l.opts.Silence, l.opts.Recheck, l.opts.Backoff) / 2
	ticker := time.NewTicker(max(pulse, time.Millisecond))
	defer ticker.Stop()
	checked := l.uptime()
	for {
		select {
		case <-ticker.C:
		case <-l.ctx.Done():
			return
		}
		now := l.uptime()
		recheck := now-checked >= l.opts.Recheck
		if recheck {
			checked = now
		}
		for _, p := range l.everyPeer() {
			if recheck {
				p.recheck()
			}
			p.tend(now)
		}
	}
}
