package offline

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/server/audit"
	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/segment"
)

// Agreed is what nodes say of the state that they agree on.
type Agreed struct {
	Events      uint64
	StateDigest string // hexadecimal, as the root
	LedgerRoot  string
}

// Replayed tells where the events of a replay came from.
type Replayed struct{ Archived, FromLog uint64 }

// ErrUnreadable says that a ledger or log could not be read, not that it says something
// else than it should.
var ErrUnreadable = errors.New("it cannot be read")

// Replay applies all events of a node's ledger, and then of its log, to an empty
// state machine (CK-C2), and compares the result with what the cluster agreed on, and
// each envelope with the one that the replay makes (I6). dir is the node's. Between the
// question and its end the node may have proposed events of its own: the replay ends
// where the nodes said they stood. A node whose state once came by a snapshot is holed:
// its log lacks what the snapshot brought, and its ledger gets it bundle by bundle, so
// that of the last one it may hold only a part. Then only the ledger is replayed. What
// cannot be opened at all is told to fatal.
func Replay(files vfs.FS, dir string, want Agreed, holed bool, fatal func(error)) (r Replayed, err error) {
	m, err := fsm.Open(fsm.Options{FS: vfs.NewMem(), Dir: "/state", Fatal: fatal})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	wal := files.PathJoin(dir, "wal")
	if r.Archived, err = replayLedger(files, dir, m, want.Events, fatal); err != nil {
		return r, fmt.Errorf("the ledger, behind %d events: %w", r.Archived, err)
	}
	if holed {
		return r, nil
	}
	if r.FromLog, err = replayLog(files, files.PathJoin(wal, "log"), m, want.Events, fatal); err != nil {
		return r, fmt.Errorf("the log: %w", err)
	}
	a := m.Applied()
	f, err := m.Frontier()
	if err != nil {
		return r, err
	}
	root := f.Root()
	got := Agreed{Events: a.Next, StateDigest: hex.EncodeToString(a.Digest.Bytes()), LedgerRoot: hex.EncodeToString(root[:])}
	if got != want {
		return r, fmt.Errorf("it comes to %d events with state %s and ledger %s; the nodes agreed on %d, %s and %s",
			got.Events, got.StateDigest, got.LedgerRoot, want.Events, want.StateDigest, want.LedgerRoot)
	}
	return r, nil
}

// ReplayErased is Replay where payloads were erased: it begins at the newest snapshot of the
// node, and goes to the end of its record. What the nodes agreed on must be on the way. An error
// may be that the record cannot be read.
func ReplayErased(files vfs.FS, dir string, want Agreed) (err error) {
	n, err := audit.Open(audit.Options{FS: files, Dir: dir})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := agrees(n, want); err != nil {
		return err
	}
	state := vfs.NewMem()
	from, err := n.Base(n.Size(), state, "/state")
	if err != nil {
		return err
	}
	m, err := fsm.Open(fsm.Options{FS: state, Dir: "/state", Fatal: func(err error) { panic(fmt.Errorf("offline: %w", err)) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if _, err := n.Replay(context.Background(), m, n.Size(), nil); err != nil {
		return fmt.Errorf("from event %d on: %w", from, err)
	}
	return nil
}

// agrees compares what a node has recorded with what the nodes agreed on.
func agrees(n *audit.Node, want Agreed) error {
	r, err := n.Record(want.Events - 1)
	if err != nil {
		return err
	}
	var env event.Envelope
	if err := event.Decode(r.Envelope, &env); err != nil {
		return err
	}
	_, tree, _, err := n.Consistent(want.Events, want.Events)
	if err != nil {
		return err
	}
	got := Agreed{Events: want.Events, StateDigest: hex.EncodeToString(env.StateDigest), LedgerRoot: hex.EncodeToString(tree.Hash[:])}
	if got != want {
		return fmt.Errorf("recorded is %+v; the nodes agreed on %+v", got, want)
	}
	return nil
}

// replayLedger applies what is archived. Its end is that of what was agreed on.
func replayLedger(files vfs.FS, dir string, m *fsm.Machine, until uint64, fatal func(error)) (seq uint64, err error) {
	unreadable := func(err error) error { return fmt.Errorf("%w: %w", ErrUnreadable, err) }
	o, err := signed(files, dir, fatal)
	if errors.Is(err, ledger.ErrNotArchived) {
		return 0, nil // the log has all of it
	}
	if err != nil {
		return 0, unreadable(err)
	}
	archive, err := ledger.Open(o)
	if err != nil {
		return 0, unreadable(err)
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	// What is damaged must show by the ledger's own proof: a replay may stumble over it
	// anywhere, or not at all.
	if err := archive.Verify(context.Background(), nil); err != nil {
		return 0, unreadable(err)
	}
	p := audit.NewReplayer(m)
	for r, err := range archive.Records(0) {
		if err != nil {
			return p.Next(), unreadable(err)
		}
		if r.Seq == until {
			break
		}
		if err := p.Add(r); err != nil {
			return p.Next(), err
		}
	}
	if err := p.Flush(); err != nil {
		return p.Next(), err
	}
	f, err := m.Frontier()
	if err != nil {
		return p.Next(), err
	}
	root, err := archive.Root(p.Next())
	switch {
	case err != nil:
		err = unreadable(err)
	case root != f.Root():
		err = fmt.Errorf("the ledger's root of %d events is not the replay's", p.Next())
	}
	return p.Next(), err
}

// newSegment is the size, in bytes, of the file that opening a log makes: nothing is
// appended here.
const newSegment = 64 << 10

// replayLog applies what the log's files hold. What the ledger held already is known
// by its request id and changes nothing.
func replayLog(files vfs.FS, dir string, m *fsm.Machine, until uint64, fatal func(error)) (n uint64, err error) {
	log, err := segment.Open(segment.Options{FS: files, Dir: dir, SegmentBytes: newSegment, Fatal: fatal})
	if err != nil {
		return n, fmt.Errorf("%w: %w", ErrUnreadable, err)
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
	for i := first; i > 0 && i <= log.Last() && m.Applied().Next < until; i++ {
		e, err := log.ArchiveEntry(i)
		if err != nil {
			return n, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		if e.Type != command {
			continue
		}
		index++
		n++
		m.Apply([]fsm.Entry{{Index: index, Term: 1, Data: e.Data}})
	}
	return n, nil
}
