package world

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"

	"ironman/s3api/sig"
	"ironman/server"
	"ironman/sim/load"
	"ironman/sim/network"
	"ironman/wal/digest"
)

const (
	nodeCount    = 3
	disksPerNode = 2
	nodeCapacity = 1 << 30
	diskCapacity = 256 << 20
	packBytes    = 512 << 10
	segmentBytes = 256 << 10 // of the log; reading one makes a new file, too
)

// Outlets are what the world tells while it runs. Either may be nil.
type Outlets struct {
	Progress func(Progress)
	Trace    func(line []byte)
	Log      io.Writer
}

// World is one run.
type World struct {
	cfg   Config
	out   Outlets
	begin time.Time
	trace *trace
	log   io.Writer // of the nodes; nil: nobody reads it
	net   *network.Network
	nodes []*node

	retention, grace, packGrace time.Duration
	ownRetention                time.Duration // of the bucket of most requests; 0: the cluster's
	snapshotEntries             uint64
	scrub                       time.Duration // how often nodes read the sealed files of their logs

	load    *load.Cluster
	readers []*load.Follower // of the feed
	erased  bool             // all that was buried, on all nodes
	ghosts  *ghosts
	planned []Action
	healed  time.Duration  // how long it took to serve behind all faults
	agreed  *server.Status // what all nodes came to, before they were shut; nil: they did not

	mu         sync.Mutex
	draws      map[string]*rand.Rand
	violations []Violation
	moments    []Moment
	fires      []Fired
	done       map[string]int
	buried     []*load.Erasure
	answered   int
	processes  []*process                   // all that ever ran
	jumped     time.Time                    // when a clock was last set wrong
	handled    [nodeCount + spares + 1]bool // nodes whose disks somebody moves about
	spoiling   [nodeCount + spares + 1]int  // how many faults do lasting damage to disks of a node
	traps      []*trap
	departures []*departure
	losing     bool // the shards of a node were given up, or are about to be
	phase      string
	tasks      sync.WaitGroup // that after started
	halted     bool           // no more of them
}

// Run runs the world to its end.
func Run(cfg Config, out Outlets) *Report {
	w := newWorld(cfg, out)
	watch := time.AfterFunc(cfg.Span+patience, func() { panic(w.standstill()) })
	w.run()
	watch.Stop()
	return w.report()
}

// patience is how long healing and the checks behind the faults may take, in virtual time.
// They take minutes.
const patience = time.Hour

// standstill says that something waits for ever while timers run on, and what everybody
// does.
func (w *World) standstill() string {
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return fmt.Sprintf("the world of seed %d does not come to its end: %v of virtual time have passed\n%s", w.cfg.Seed, time.Duration(w.now()), stacks)
}

func newWorld(cfg Config, out Outlets) *World {
	w := &World{
		cfg: cfg, out: out, begin: time.Now(), log: out.Log, draws: make(map[string]*rand.Rand),
		ghosts: newGhosts(), done: make(map[string]int),
	}
	emit := out.Trace
	if !cfg.Trace {
		emit = nil
	}
	w.trace = newTrace(func() time.Duration { return time.Duration(w.now()) }, emit)
	shape := w.rng("shape", 0)
	w.retention = time.Duration(shape.IntN(8)) * time.Second
	w.grace = time.Duration(6+shape.IntN(6)) * time.Second
	// Mostly so few that whoever was away for some seconds is sent a snapshot.
	w.snapshotEntries = uint64(12 + shape.IntN(30))
	if shape.IntN(3) == 0 {
		w.snapshotEntries = uint64(100 + shape.IntN(400))
	}
	w.scrub = time.Duration(3+shape.IntN(20)) * time.Second
	if shape.IntN(3) == 0 {
		w.ownRetention = time.Duration(1+shape.IntN(8)) * time.Second
	}
	// So short that packs come and go during a run.
	w.packGrace = time.Duration(500+shape.IntN(1000)) * time.Millisecond
	w.net = network.New(network.Options{Rng: w.rng("network", 0), Timeout: 15 * time.Second, Observe: func(e network.Event) {
		w.trace.add("net", e.Kind.String(), e.From, e.To, e.Conn, e.Bytes, e.Sum)
	}})
	w.load = w.clients()
	for n := range nodeCount + spares {
		w.nodes = append(w.nodes, w.newNode(n+1))
	}
	return w
}

// epoch is that of all hot keys: a run is short enough for one.
const epoch = 0

// clients are what clients know of the world.
func (w *World) clients() *load.Cluster {
	nodes := nodeCount
	if w.on("R1") {
		nodes += spares
	}
	return &load.Cluster{
		Nodes: nodes, Address: w.clientAddress,
		Credential: sig.Credential{AccessKey: rootKey, Secret: sig.NewSecret(rootSecret)},
		Think:      w.cfg.Think, Now: w.now, Wall: w.wall, Epoch: func() int { return epoch },
		Later: true, Admin: w.clientAdmin, Kept: w.kept, Did: w.did,
		HangUps: w.on("H1"), Fired: w.fired, ClocksJump: w.clocksJump,
		History: load.NewLog(), Violated: w.violated, Answered: w.count, Trace: w.trace.add,
	}
}

// newClient is a client on a host of its own.
func (w *World) newClient(n int) *load.Client {
	return w.load.Client(n, w.rng("client", n), w.net.Host(clientHost(n)).Dial)
}

// now is virtual time since the beginning, in nanoseconds; wall the true wall clock.
func (w *World) now() int64      { return int64(time.Since(w.begin)) }
func (w *World) wall() time.Time { return time.Now() }

// rng is a source of randomness of its own, by a name and a number.
func (w *World) rng(name string, n int) *rand.Rand {
	return rand.New(rand.NewChaCha8(digest.SHA256(fmt.Appendf(nil, "%d/%s/%d", w.cfg.Seed, name, n))))
}

// draw draws from a shared source, by its name.
func (w *World) draw(name string, n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.draws[name]
	if r == nil {
		r = w.rng(name, -1)
		w.draws[name] = r
	}
	return r.IntN(n)
}

// on tells whether a kind of fault is to be injected.
func (w *World) on(fault string) bool {
	if w.cfg.Faults == nil {
		return true
	}
	for _, f := range w.cfg.Faults {
		if f == fault {
			return true
		}
	}
	return false
}

// after calls f later, in a goroutine of its own.
func (w *World) after(d time.Duration, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.halted {
		return
	}
	w.tasks.Go(func() {
		time.Sleep(d)
		f()
	})
}

// halt waits for what after started; nothing new is started.
func (w *World) halt() {
	w.mu.Lock()
	w.halted = true
	w.mu.Unlock()
	w.tasks.Wait()
}

func (w *World) violated(checker, format string, args ...any) {
	v := Violation{Checker: checker, At: time.Duration(w.now()), Text: fmt.Sprintf(format, args...)}
	w.trace.add("violated", checker)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.violations) < 100 {
		w.violations = append(w.violations, v)
	}
	if w.log != nil {
		fmt.Fprintf(w.log, "%v VIOLATION %s: %s\n", v.At, v.Checker, v.Text)
	}
}

func (w *World) moment(node int, kind, text string) { w.lasting(node, kind, text, 0) }

func (w *World) lasting(node int, kind, text string, lasts time.Duration) {
	at := time.Duration(w.now())
	w.trace.add("moment", node, kind)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moments = append(w.moments, Moment{At: at, Node: node, Kind: kind, Text: text, Lasts: lasts})
	if w.log != nil {
		fmt.Fprintf(w.log, "%v MOMENT node %d: %s %s\n", at, node, kind, text)
	}
}

// fired counts a fault that happened.
func (w *World) fired(id, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.fires {
		if w.fires[i].ID == id && w.fires[i].Name == name {
			w.fires[i].Count++
			return
		}
	}
	w.fires = append(w.fires, Fired{ID: id, Name: name, Count: 1})
}

// did counts what clients have seen done.
func (w *World) did(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[what]++
}

func (w *World) count(answered bool) {
	if !answered {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered++
}

func (w *World) enter(phase string) {
	w.moment(0, "phase", phase)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase = phase
}

// run is the whole of it: a cluster is made, lives through its faults under load,
// heals, and is checked.
func (w *World) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if w.cfg.Until > 0 {
		w.runUntil(ctx)
		return
	}
	w.live(ctx)
}

// runUntil goes to a moment, and no further.
func (w *World) runUntil(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.live(ctx)
	}()
	select {
	case <-done:
	case <-time.After(w.cfg.Until):
	}
}

func (w *World) live(ctx context.Context) {
	progress, stop := context.WithCancel(ctx)
	defer stop()
	go w.tell(progress)
	w.moment(0, "shape", fmt.Sprintf("history %v (of its own %v), grace %v, of packs %v, a snapshot every %d entries, a scrub every %v", w.retention, w.ownRetention, w.grace, w.packGrace, w.snapshotEntries, w.scrub))
	w.enter("birth")
	if !w.birth(ctx) {
		return
	}
	w.enter("safety")
	working, unload := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for n := range w.cfg.Clients {
		clients.Go(func() { w.newClient(n + 1).Run(working) })
	}
	w.readers = []*load.Follower{w.newClient(-20).Follower(), w.newClient(-21).BucketFollower()}
	for _, r := range w.readers {
		clients.Go(func() { r.Run(working) })
	}
	if rng := w.rng("erase", 0); rng.IntN(eraseOneIn) == 0 {
		clients.Go(func() { w.erase(working, rng) })
	}
	w.nemesis(ctx)
	w.enter("liveness")
	healthy := w.heal(ctx)
	unload()
	clients.Wait()
	if healthy {
		w.enter("reads")
		w.readAll(ctx)
		w.holdRead(ctx)
		w.completeErasures(ctx)
		w.agree(ctx)
		w.catchUp(ctx)
	}
	w.enter("end")
	w.halt()
	w.shutAll()
	w.checkDisks()
}

// tell reports progress, each virtual second.
func (w *World) tell(ctx context.Context) {
	if w.out.Progress == nil {
		return
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		w.mu.Lock()
		p := Progress{At: time.Duration(w.now()), Answered: w.answered, Phase: w.phase}
		for _, f := range w.fires {
			p.Fired += f.Count
		}
		w.mu.Unlock()
		w.out.Progress(p)
	}
}

func (w *World) report() *Report {
	hash, traced := w.trace.hash()
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &Report{
		Hash: hash, Traced: traced, At: time.Duration(w.now()), Answered: w.answered,
		Fired: w.allFired(), Done: w.done, Plan: w.planned, Violations: w.violations, Moments: w.moments, Healed: w.healed,
	}
	r.History, r.Open = w.load.History.All()
	return r
}

// allFired adds what the disks and the network count.
func (w *World) allFired() []Fired {
	all := append([]Fired(nil), w.fires...)
	add := func(id, name string, n int) {
		id = strings.TrimPrefix(id, "F-")
		for i := range all {
			if all[i].ID == id && all[i].Name == name {
				all[i].Count += n
				return
			}
		}
		all = append(all, Fired{ID: id, Name: name, Count: n})
	}
	for _, n := range w.nodes {
		for _, c := range n.disk.Fired() {
			add(c.ID, c.Name, int(c.N))
		}
	}
	for _, f := range w.net.Faults() {
		add(f.ID, f.Name, int(f.Count))
	}
	return all
}
