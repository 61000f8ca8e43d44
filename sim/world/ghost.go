package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"ironman/fsm"
	"ironman/sim/disk"
	"ironman/wal/digest"
	"ironman/wal/segment"
)

// ghosts remember, over the whole run and over all nodes, what Raft has promised (C5):
// a term has one leader, and an index that any state has applied holds the same entry
// everywhere and for ever. Safe for concurrent use.
type ghosts struct {
	mu      sync.Mutex
	leaders map[uint64]int
	newest  uint64 // term of which a leader is known
	entries map[uint64]ghost
}

type ghost struct {
	term uint64
	hash digest.Sum
	node int // where it was seen first
}

func newGhosts() *ghosts {
	return &ghosts{leaders: make(map[uint64]int), entries: make(map[uint64]ghost)}
}

// leads hears that a node won an election.
func (w *World) leads(node int, term uint64) {
	w.moment(node, "leads", fmt.Sprintf("term %d", term))
	w.ghosts.mu.Lock()
	other, ok := w.ghosts.leaders[term]
	w.ghosts.leaders[term] = node
	w.ghosts.newest = max(w.ghosts.newest, term)
	w.ghosts.mu.Unlock()
	if ok && other != node {
		w.violated("C5", "nodes %d and %d both won term %d", other, node, term)
	}
}

// leader is the node that won the newest election; 0: there was none yet.
func (w *World) leader() int {
	w.ghosts.mu.Lock()
	defer w.ghosts.mu.Unlock()
	return w.ghosts.leaders[w.ghosts.newest]
}

// feed compares what a disk's log holds, as far as the state beside it has applied
// it, with what was seen before.
func (w *World) feed(node int, d *disk.Disk) {
	err := w.compareLog(node, d)
	if err != nil && (errors.Is(err, errDiffers) || !w.node(node).excused()) {
		w.violated("C5", "the log of node %d: %v", node, err)
	}
}

var errDiffers = errors.New("the logs differ")

func (w *World) compareLog(node int, from *disk.Disk) (err error) {
	d := lookAt(from)
	const dir = volumeNode + "/dir/wal/log"
	if names, err := d.List(dir); err != nil || len(names) == 0 {
		return nil // it was never opened
	}
	applied, err := fsm.ReadApplied(d, volumeNode+"/dir/state")
	if err != nil {
		return err
	}
	log, err := segment.Open(segment.Options{FS: d, Dir: dir, SegmentBytes: segmentBytes, Fatal: func(err error) { panic(err) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	first := log.First()
	for i := first; i > 0 && i <= log.Last() && i <= applied.Index; i++ {
		e, err := log.Entry(i)
		if err != nil {
			return err
		}
		g := ghost{term: e.Term, hash: digest.SHA256([]byte{byte(e.Type)}, e.Data), node: node}
		w.ghosts.mu.Lock()
		was, ok := w.ghosts.entries[i]
		if !ok {
			w.ghosts.entries[i] = g
		}
		w.ghosts.mu.Unlock()
		if ok && (was.term != g.term || was.hash != g.hash) {
			return fmt.Errorf("%w: entry %d has term %d and another content than on node %d, where it had term %d", errDiffers, i, g.term, was.node, was.term)
		}
	}
	return nil
}

// listener is a logger's handler that hears of elections, and of snapshots.
type listener struct {
	slog.Handler
	node    *node
	process *process
}

// Enabled lets everything in: elections are details to the node.
func (l listener) Enabled(context.Context, slog.Level) bool { return true }

func (l listener) Handle(ctx context.Context, r slog.Record) error {
	l.hear(r)
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

func (l listener) hear(r slog.Record) {
	w := l.node.w
	switch r.Message {
	case "raft: election won":
		w.leads(l.node.n, attr(r, "term").Uint64())
		l.node.mustNot(l.process, "leads")
	case "log: damaged entries were written again":
		w.fired("D6", "damaged entries of a log are mended")
	case "raft: installing snapshot on":
		var number uint32
		if _, err := fmt.Sscanf(attr(r, "peer").String(), "node-%d", &number); err == nil {
			w.installBegins(l.node, number)
		}
	case "raft: ignoring installSnapshot request with older term than current term":
		w.fired("R9", "a snapshot of a leader that was is refused")
	case "raft: failed to finalize snapshot", "raft: failed to restore snapshot":
		if strings.Contains(attr(r, "error").String(), "it is late") {
			w.fired("R9", "a snapshot that comes late is refused")
		}
	case "log: emptied, because a snapshot overtook it":
		w.fired("R3", "a log is emptied for a snapshot")
	}
}

// attr is an attribute of a record.
func attr(r slog.Record, key string) (v slog.Value) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != key {
			return true
		}
		v = a.Value.Resolve()
		return false
	})
	return v
}

func (l listener) WithAttrs(a []slog.Attr) slog.Handler {
	return listener{l.Handler.WithAttrs(a), l.node, l.process}
}
func (l listener) WithGroup(g string) slog.Handler {
	return listener{l.Handler.WithGroup(g), l.node, l.process}
}
