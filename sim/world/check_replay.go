package world

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/sim/disk"
	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/segment"
)

// checkReplay applies all events of a node's ledger, and then of its log, to an empty
// state machine (C2), and compares the result with what the cluster agreed on, and
// each envelope with the one that the replay makes (I6).
func (w *World) checkReplay(n *node) {
	if err := w.replay(n.disk.Kill(), n.n); err != nil {
		w.violated("C2", "replay of node %d: %v", n.n, err)
	}
}

func (w *World) replay(d *disk.Disk, node int) (err error) {
	d.Detach()
	fatal := func(err error) { panic(fmt.Sprintf("world: a replay: %v", err)) }
	m, err := fsm.Open(fsm.Options{FS: vfs.NewMem(), Dir: "/state", Fatal: fatal})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	archived, err := w.replayLedger(d, m)
	if err != nil {
		return fmt.Errorf("the ledger, behind %d events: %w", archived, err)
	}
	if w.node(node).installed() {
		// Its log has a hole where the snapshot came, and the ledger fills it bundle by
		// bundle: of the last one the node may hold only a part.
		w.trace.add("replayed", node, archived)
		return nil
	}
	if err := w.replayLog(d, m); err != nil {
		return fmt.Errorf("the log: %w", err)
	}
	a := m.Applied()
	f, err := m.Frontier()
	if err != nil {
		return err
	}
	root := f.Root()
	w.trace.add("replayed", node, a.Next, archived)
	if got, root := hex.EncodeToString(a.Digest.Bytes()), hex.EncodeToString(root[:]); a.Next != w.agreed.Events || got != w.agreed.StateDigest || root != w.agreed.LedgerRoot {
		return fmt.Errorf("it comes to %d events with state %s and ledger %s; the nodes agreed on %d, %s and %s",
			a.Next, got, root, w.agreed.Events, w.agreed.StateDigest, w.agreed.LedgerRoot)
	}
	return nil
}

// replayLedger applies what is archived. Its end is that of what was agreed on.
func (w *World) replayLedger(d *disk.Disk, m *fsm.Machine) (seq uint64, err error) {
	archive, err := ledger.Open(ledger.Options{FS: d, Dir: volumeNode + "/dir/wal/ledger", ReadOnly: true, Fatal: func(err error) { panic(err) }})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	for r, err := range archive.Records(0) {
		if err != nil {
			return seq, err
		}
		if seq == w.agreed.Events {
			break
		}
		env := &event.Envelope{}
		if err := event.Decode(r.Envelope, env); err != nil || r.Seq != seq || env.Seq != seq {
			return seq, fmt.Errorf("record %d says %d: %w", r.Seq, env.Seq, err)
		}
		p := &event.Proposal{Statement: r.Statement}
		for i := range r.Items {
			p.Items = append(p.Items, r.Items[i].Bytes)
		}
		res := m.Apply([]fsm.Entry{{Index: seq + 1, Term: 1, Data: event.AppendEntry(nil, env.Time, event.Canonical(p))}})[0]
		if res.Seq != seq || res.Duplicate {
			return seq, fmt.Errorf("event %d became %d, a duplicate: %v", seq, res.Seq, res.Duplicate)
		}
		leaves, err := m.Leaves(seq, 1)
		if err != nil || len(leaves) != 1 || !bytes.Equal(leaves[0].Envelope, r.Envelope) {
			return seq, fmt.Errorf("event %d has another envelope than the replay makes: %w", seq, err)
		}
		seq++
	}
	f, err := m.Frontier()
	if err != nil {
		return seq, err
	}
	root, err := archive.Root(seq)
	if err == nil && root != f.Root() {
		err = fmt.Errorf("the ledger's root of %d events is not the replay's", seq)
	}
	return seq, err
}

// replayLog applies what the log's files hold. What the ledger held already is known
// by its request id and changes nothing.
func (w *World) replayLog(d *disk.Disk, m *fsm.Machine) (err error) {
	log, err := segment.Open(segment.Options{FS: d, Dir: volumeNode + "/dir/wal/log", Fatal: func(err error) { panic(err) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	const command = 0 // Raft's type of an entry that holds an event
	index := m.Applied().Index
	first := log.First()
	for first > 1 { // a snapshot truncates logically: what is not archived is in the files
		if _, err := log.ArchiveEntry(first - 1); err != nil {
			break
		}
		first--
	}
	for i := first; i > 0 && i <= log.Last() && m.Applied().Next < w.agreed.Events; i++ {
		e, err := log.ArchiveEntry(i)
		if err != nil {
			return err
		}
		if e.Type != command {
			continue
		}
		index++
		m.Apply([]fsm.Entry{{Index: index, Term: 1, Data: e.Data}})
	}
	return nil
}
