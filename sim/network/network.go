package network

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

const (
	// firstRTO is the wait before a lost segment is sent again; it doubles.
	firstRTO = 200 * time.Millisecond
	// firstSYN is the same for the first segment of a connection.
	firstSYN = time.Second
)

// Options of a Network. Only Rng is required.
type Options struct {
	// Rng decides all that is left to chance. The network draws from it under its lock.
	Rng *rand.Rand
	// Observe is told of each event in order of effect. It is called under the
	// lock of the network: it must neither wait nor call the network.
	Observe func(Event)
	// Path is what a path is like unless SetPath says otherwise; zero: DefaultPath.
	Path Path
	// Window is how many bytes may be written and not yet read, in each direction
	// of a connection: more, and Write waits. Zero: 256 KiB.
	Window int
	// Backlog is how many connections may wait for Accept. Zero: 128.
	Backlog int
	// Timeout ends a connection whose data were not acknowledged for so long, and
	// a Dial without an answer. Zero: one minute.
	Timeout time.Duration
	// MaxRTO bounds the doubling delay of retransmissions. Zero: ten seconds.
	MaxRTO time.Duration
	// CleanDeath is the share of connections that Kill ends in good order (pending
	// data, then EOF), as the system does for a process that ends, and not by a reset.
	CleanDeath float64
}

// Network is a set of hosts and the paths between them.
//
// One lock guards everything in it, so that events have one order and a fault
// strikes all connections at one instant. It is never held while something waits.
type Network struct {
	o     Options
	epoch time.Time
	// lateErr is os.ErrDeadlineExceeded.
	lateErr error

	mu       sync.Mutex
	machines map[string]*machine // looked up, never walked
	paths    map[pair]*path      // looked up, never walked
	links    []*link             // ascending by id; a link leaves when both its ends are done
	lastLink uint64
	rules    rules
	counts   [faults]uint64
	spare    [][]byte
}

// pair names a direction.
type pair struct{ from, to string }

// New returns a network without hosts.
func New(o Options) *Network {
	if o.Rng == nil {
		panic("network: Options.Rng is missing")
	}
	if o.Path == (Path{}) {
		o.Path = DefaultPath()
	}
	o.Window = orElse(o.Window, 256<<10)
	o.Backlog = orElse(o.Backlog, 128)
	o.Timeout = orElse(o.Timeout, time.Minute)
	o.MaxRTO = orElse(o.MaxRTO, 10*time.Second)
	return &Network{
		o:        o,
		epoch:    time.Now(),
		lateErr:  deadlineExceeded(),
		machines: make(map[string]*machine),
		paths:    make(map[pair]*path),
		rules:    newRules(),
	}
}

func orElse[T int | time.Duration](x, other T) T {
	if x > 0 {
		return x
	}
	return other
}

// deadlineExceeded returns os.ErrDeadlineExceeded, which code that may not import
// os can only have from a connection that is late.
func deadlineExceeded() error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := a.SetReadDeadline(time.Unix(1, 0)); err != nil {
		panic(fmt.Sprint("network: a pipe without deadlines: ", err))
	}
	_, err := a.Read(make([]byte, 1))
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}

// now is the time since the network was made.
func (n *Network) now() time.Duration { return time.Since(n.epoch) }

// since converts a deadline; zero means never.
func (n *Network) since(t time.Time) time.Duration {
	if t.IsZero() {
		return never
	}
	return t.Sub(n.epoch)
}

// chance is true with probability p, and draws nothing if that is 0.
func (n *Network) chance(p float64) bool { return p > 0 && n.o.Rng.Float64() < p }

// Connections counts those that have not ended at both ends.
func (n *Network) Connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.links)
}

// forget drops a link that nobody can use any more. Whoever walks n.links walks a copy.
func (n *Network) forget(l *link) {
	i, ok := slices.BinarySearchFunc(n.links, l.id, func(l *link, id uint64) int {
		if l.id < id {
			return -1
		} else if l.id > id {
			return 1
		}
		return 0
	})
	if ok {
		n.links = slices.Delete(n.links, i, i+1)
	}
}
