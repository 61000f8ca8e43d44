package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"ironman/s3api/sig"
	"ironman/server"
	"ironman/sim/disk"
	"ironman/sim/network"
)

// A node is a machine of the cluster: disks, a place in the network, a clock, and
// the process that runs there, if one does.
type node struct {
	w *World
	n int // from 1

	mu   sync.Mutex
	disk *disk.Disk
	// offset of its clock.
	offset time.Duration
	// process that runs; nil: none.
	process  *process
	starts   int
	installs int // of snapshots of others
	// down keeps its supervisor from starting it again.
	down     bool
	standing standing
	// number it has in the cluster, once it has served; 0: not known.
	number uint32
	// anew: it was wiped, and is to join whatever it was before.
	anew bool
	// forgetful: there is nothing on its disk but its identity. refused: it was told
	// that it must not take part.
	forgetful, refused bool
	// excuses are faults because of which its process may end by itself, or not start;
	// spoils are those whose harm does not end with them.
	excuses, spoils []string
	// setBack: its disks are old copies, so that it must not take part any more.
	setBack bool
	// tight: others use the space of its log and state.
	tight bool
	words string // its last, when it ended by itself
	// pending: its supervisor is about to start it.
	pending bool
}

// A process is one run of the server, from its start to its end. Whatever goes on in
// it behind its end has no effect on anything: its disk is a copy, its connections
// are gone.
type process struct {
	node   *node
	number int    // which start of the node this is
	barred string // why it must never serve; empty: it may
	cancel context.CancelFunc
	disk   *disk.Disk    // that it began with, and has until its end
	host   *network.Host // likewise

	mu     sync.Mutex
	server *server.Node // nil: not open yet
	ended  bool
	closed bool // in order, without an error, while nothing had befallen it
	fatal  bool // it ended in the middle of something, whose locks it holds for ever
	// pardoned: it was starting when a fault ended that may have befallen its start, which
	// closes what it has open before it says so.
	pardoned bool
	opened   chan struct{} // closed when server.Open has returned
	gone     chan struct{} // closed when nothing of it runs any more
}

const (
	portS3    = 9000
	portLink  = 9100
	portAdmin = 9200
)

func nodeHost(n int) string         { return fmt.Sprintf("n%d", n) }
func clientHost(n int) string       { return fmt.Sprintf("c%d", n) }
func address(node, port int) string { return fmt.Sprintf("n%d:%d", node, port) }

const (
	volumeNode = "/node"
	rootKey    = "simulated-root"
	rootSecret = "a-secret-of-the-simulated-root"
	joinSecret = "a-secret-that-lets-nodes-join"
)

func volumeDisk(n int) string { return fmt.Sprintf("/disk%d", n) }

func (w *World) newNode(n int) *node {
	config := disk.Config{Volumes: []disk.Mount{{Path: volumeNode, Capacity: nodeCapacity}}}
	for i := range disksPerNode {
		config.Volumes = append(config.Volumes, disk.Mount{Path: volumeDisk(i + 1), Capacity: diskCapacity})
	}
	if w.cfg.Latency {
		config.Latency = disk.Usual()
	}
	nd := &node{w: w, n: n, disk: disk.New(w.rng("disk", n), config)}
	if n <= nodeCount {
		nd.standing = member
	}
	nd.watch(nd.disk)
	return nd
}

// watch writes what happens to a disk into the trace.
func (n *node) watch(d *disk.Disk) {
	host := nodeHost(n.n)
	d.Watch(disk.Hooks{Observe: func(op disk.Op) {
		n.w.trace.add("disk", host, op.String(), op.Mark, op.Err != nil)
	}})
}

// now is the node's clock.
func (n *node) now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.w.wall().Add(n.offset)
}

// start begins a process with what is on the node's disks.
func (n *node) start() {
	n.mu.Lock()
	off, d := n.off(), n.disk
	n.mu.Unlock()
	if off {
		return
	}
	n.w.feed(n.n, d)
	door := n.w.door(n)
	// Process and listeners come at one moment: an end in between would leave the
	// listeners of a process that is no more.
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.off() {
		return
	}
	n.starts++
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{
		node: n, number: n.starts, barred: n.bar(), cancel: cancel, disk: n.disk, host: n.w.net.Host(nodeHost(n.n)),
		opened: make(chan struct{}), gone: make(chan struct{}),
	}
	o, err := n.options(p, door)
	if err != nil {
		panic(err) // the world's own: a port that is taken
	}
	n.process = p
	n.w.mu.Lock()
	n.w.processes = append(n.w.processes, p)
	n.w.mu.Unlock()
	n.w.moment(n.n, "start", "")
	go p.open(ctx, o)
}

// off tells whether no process is to start now; n.mu is held.
func (n *node) off() bool {
	return n.process != nil || n.down || n.standing == spare || n.refused
}

func (n *node) options(p *process, door string) (server.Options, error) {
	host := p.host
	s3, err1 := host.Listen(portS3)
	link, err2 := host.Listen(portLink)
	admin, err3 := host.Listen(portAdmin)
	if err := errors.Join(err1, err2, err3); err != nil {
		return server.Options{}, err
	}
	o := server.Options{
		FS: p.disk, Dir: volumeNode + "/dir", S3: []net.Listener{s3}, Admin: admin,
		Link: link, LinkAddress: address(n.n, portLink), Dial: n.w.dial(host), LinkPlain: !n.w.cfg.TLS,
		JoinSecret:    sig.NewSecret(joinSecret),
		RootAccessKey: rootKey, RootSecretKey: rootSecret,
		HistoryRetention: n.w.retention, ReleaseGrace: n.w.grace, PackGrace: n.w.packGrace,
		Now: n.now, Fatal: p.die, Restart: p.restart, Logger: n.logger(p),
		SegmentBytes: segmentBytes, SnapshotEntries: n.w.snapshotEntries, ScrubEvery: n.w.scrub, PackBytes: packBytes,
	}
	if n.n > 1 || n.anew {
		o.Join = door
	}
	for i := range disksPerNode {
		o.Disks = append(o.Disks, volumeDisk(i+1)+"/shards")
	}
	return o, nil
}

// open runs until the server is open, and excuses or reports it if it cannot be.
func (p *process) open(ctx context.Context, o server.Options) {
	p.claim()
	returned := false
	defer func() {
		close(p.opened)
		if !returned {
			close(p.gone) // what opened it died of Fatal; what it began is left as it is
		}
	}()
	s, err := server.Open(ctx, o)
	returned = true
	p.mu.Lock()
	p.server = s
	ended := p.ended
	p.mu.Unlock()
	switch {
	case ended && err == nil:
		go p.unwind(s)
		return
	case err == nil:
		p.node.w.moment(p.node.n, "serves", "")
		p.node.mustNot(p, "serves")
		if st, err := s.Status(); err == nil {
			p.node.served(p, st.Node)
		}
		return
	}
	close(p.gone)
	if !ended {
		p.node.ended(p, notStarted, err)
	}
}

// die is the process's Fatal: it ends here and now.
func (p *process) die(err error) {
	p.mu.Lock()
	p.fatal = true
	p.mu.Unlock()
	p.node.ended(p, "it ends itself", err)
	if inCompaction() {
		select {}
	}
	runtime.Goexit()
}

// inCompaction tells whether Pebble compacts or flushes here, without a lock that
// anybody waits for. What it defers there panics where it is not done, and would end
// the world: such a goroutine stays where it is.
func inCompaction() bool {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, ".(*DB).runCompaction") {
			return true
		}
		if !more {
			return false
		}
	}
}

// restart is the process's Restart.
func (p *process) restart(reason string) {
	p.mu.Lock()
	p.fatal = true
	p.mu.Unlock()
	p.node.w.fired("R2", "a snapshot is installed")
	p.node.mu.Lock()
	p.node.installs++
	p.node.mu.Unlock()
	p.node.ended(p, "restart", errors.New(reason))
	runtime.Goexit()
}

// ended is called when a process ends by itself: its supervisor starts it again.
func (n *node) ended(p *process, how string, err error) {
	if !n.end(p, false, n.diskAfterKill) {
		return
	}
	n.w.moment(n.n, how, err.Error())
	n.mu.Lock()
	n.words = how + ": " + err.Error()
	n.mu.Unlock()
	may, forGood := n.mayEnd(p, err.Error())
	if how != "restart" && !may && !n.excused() && !p.failedBefore(how) {
		n.w.violated("I12", "node %d: %s: %v", n.n, how, err)
	}
	if forGood {
		n.w.fired("R1", "a node is refused for good")
		return
	}
	pause := time.Duration(200+n.w.draw("supervisor", 800)) * time.Millisecond
	if n.spoiled() { // it may go on like this, and what a dead state leaves running adds up
		pause *= 5
	}
	n.mu.Lock()
	pending := n.pending
	n.pending = true
	n.mu.Unlock()
	if pending {
		return
	}
	n.w.after(pause, func() {
		n.mu.Lock()
		n.pending = false
		n.mu.Unlock()
		n.start()
	})
}

// failedBefore tells whether a start that fails may have met a fault that has ended since.
func (p *process) failedBefore(how string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pardoned && how == notStarted
}

// pardonStart excuses a start that is under way.
func (p *process) pardonStart() {
	select {
	case <-p.opened:
	default:
		p.mu.Lock()
		p.pardoned = true
		p.mu.Unlock()
	}
}

// notStarted is how a process ends whose node could not be opened.
const notStarted = "it does not start"

func (n *node) excused() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.excuses)+len(n.spoils) > 0
}

// installed tells whether its state ever came by a snapshot.
func (n *node) installed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.installs > 0
}

func (n *node) excuse(fault string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.excuses = append(n.excuses, fault)
}

func (n *node) diskAfterKill(d *disk.Disk) *disk.Disk { return d.Kill() }

// kill ends the process at once: what it has written is there, as after kill -9, or
// with power only what is durable and, of the rest, what chance leaves.
func (n *node) kill(power bool, rng *rand.Rand) bool {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	after := n.diskAfterKill
	if power {
		loss := chooseLoss(rng)
		after = func(d *disk.Disk) *disk.Disk { return d.Cut(rng, loss) }
	}
	if p == nil {
		if power { // the machine is off, whatever runs on it
			n.mu.Lock()
			n.disk = after(n.disk)
			n.watch(n.disk)
			n.mu.Unlock()
		}
		return false
	}
	return n.end(p, power, after)
}

func chooseLoss(rng *rand.Rand) disk.Loss {
	switch rng.IntN(4) {
	case 0:
		return disk.Keep(0)
	case 1:
		return disk.Keep(rng.IntN(101))
	}
	return disk.Loss{Blocks: rng.Float64(), Sizes: rng.Float64(), Entries: rng.Float64(), Torn: rng.Float64() / 2, Garbage: rng.Float64() / 4}
}

// end makes an end of a process; false if it had ended already.
func (n *node) end(p *process, power bool, after func(*disk.Disk) *disk.Disk) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != p {
		return false
	}
	p.mu.Lock()
	p.ended = true
	s := p.server
	p.mu.Unlock()
	n.process = nil
	if power {
		n.w.net.PowerOff(nodeHost(n.n))
	} else {
		n.w.net.Kill(nodeHost(n.n))
	}
	old := n.disk
	n.disk = after(old)
	old.Detach()
	n.watch(n.disk)
	p.cancel()
	if s != nil {
		go p.unwind(s)
	}
	return true
}

// unwind closes what an ended process still has open, so that nothing of it stays.
func (p *process) unwind(s *server.Node) {
	defer close(p.gone)
	p.claim()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = s.Close(ctx) // it has no disk and no network: its errors say nothing
}

// startLimit is how long a process that is to be shut down may still be starting.
const startLimit = 20 * time.Second

// shut ends the process in order, as SIGTERM does.
func (n *node) shut() error {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-p.opened:
	case <-time.After(startLimit):
		n.end(p, false, n.diskAfterKill) // it waits for others, maybe for ever
		return nil
	}
	p.mu.Lock()
	s, ended := p.server, p.ended
	p.mu.Unlock()
	if s == nil || ended {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := s.Close(ctx)
	if err == nil {
		p.checkClosed()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != p {
		return nil // it was killed meanwhile
	}
	n.process = nil
	p.mu.Lock()
	p.ended, p.closed = true, err == nil
	p.mu.Unlock()
	close(p.gone)
	n.w.net.Kill(nodeHost(n.n))
	old := n.disk
	n.disk = old.Kill()
	old.Detach()
	n.watch(n.disk)
	return err
}

// serving is the open server; nil if there is none.
func (n *node) serving() *server.Node {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server
}

// on tells whether a process runs, though it may not serve yet.
func (n *node) on() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process != nil
}

// status is what its process says of itself.
func (n *node) status() (*server.Status, error) {
	s := n.serving()
	if s == nil {
		return nil, errors.New("none serves")
	}
	return s.Status()
}

func (n *node) logger(p *process) *slog.Logger {
	var out io.Writer = io.Discard
	if n.w.log != nil {
		out = n.w.log
	}
	h := slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String("at", time.Duration(n.w.now()).String())
		}
		return a
	}})
	return slog.New(listener{h, n, p}).With("on", n.n)
}
