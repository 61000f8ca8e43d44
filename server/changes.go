package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/server/audit"
	"ironman/wal"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

const (
	// changesBatch is how many events are read at a time: no view is open for longer.
	changesBatch = 256
	// changesNear is how far behind the last event a reading shares what is read with others.
	changesNear = 4 * changesBatch
	// changesReaders is how many may read the change feed of a node at once.
	changesReaders = 64
	// changesScansAtOnce is how many of them may look through what is long past at one moment, and how
	// many of those who read the feeds of buckets.
	changesScansAtOnce = 2
)

// changes is the change feed: the record of what happened, for consumers that follow it.
// Invariant: it gives what this node has applied and nothing else, in the order of
// sequences, each once; an event that a reading does not want is passed, never one that
// it has not looked at. It keeps nothing of its readers. Safe for concurrent use.
type changes struct {
	machine *fsm.Machine
	// applied is the sequence behind all that this node has applied.
	applied func() uint64
	records func(from uint64, max int) ([]ledger.Record, error)
	// present shows the state at a linearizable point.
	present func(context.Context) (*fsm.View, error)
	places  chan struct{} // one is taken by each that reads by the admin listener
	buckets bucketPlaces  // those of who reads the feed of a bucket
	head    changesHead
	scans   *changesScans // a place is taken by each that reads what is long past, for as long as it does
	ending  context.Context
	end     context.CancelFunc // ends all readings at once

	// How long a reader may take nothing, and after how long a stream says that it is
	// there, and how far it has come; how often one looks for what has come, at most.
	stall, heartbeat, progress, pace time.Duration
}

func newChanges(n *Node) *changes {
	ending, end := context.WithCancel(context.Background())
	return &changes{
		machine: n.machine, applied: func() uint64 { return n.machine.Applied().Next }, records: n.log.Records, present: views{n}.View, places: make(chan struct{}, changesReaders),
		scans: newChangesScans(), ending: ending, end: end,
		stall: 30 * time.Second, heartbeat: 15 * time.Second, progress: 2 * time.Second, pace: 50 * time.Millisecond,
	}
}

// errNotNow says that a question can be answered later, or by another node.
var errNotNow = errors.New("try again, or ask another node")

// errConflict says that something stands elsewhere than whoever asks believed.
var errConflict = errors.New("conflict")

// read puts the events from one on into words, dense and in order, as many as are at
// hand. None: this node has not applied that event yet. Nobody may change the entries. The
// account is that of who reads; "": by the admin listener.
func (c *changes) read(ctx context.Context, account string, from uint64, max int) ([]*audit.Entry, error) {
	next := c.applied()
	if from >= next { // a reader that has caught up takes nobody's place
		return nil, nil
	}
	if next-from <= changesNear {
		return c.head.read(from, max, c.words)
	}
	give, err := c.scans.take(ctx, account)
	if err != nil {
		return nil, err
	}
	defer give()
	return c.words(from, max)
}

// words reads events and puts them into words.
func (c *changes) words(from uint64, max int) (entries []*audit.Entry, err error) {
	records, err := c.records(from, max)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	v, err := c.machine.View()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	words := audit.NewWords(v, c.record)
	for i := range records {
		if err := records[i].Check(); err != nil { // nothing is told that the envelope does not confirm
			return nil, fmt.Errorf("event %d is damaged on this node: %w", records[i].Seq, err)
		}
		e, err := words.Entry(&records[i])
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// record reads one record.
func (c *changes) record(seq uint64) (ledger.Record, error) {
	records, err := c.records(seq, 1)
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("%w: event %d has not happened yet", errNoObject, seq)
	}
	if err != nil {
		return ledger.Record{}, err
	}
	return records[0], nil
}

// await returns once this node has applied an event; an error says that ctx ended first.
func (c *changes) await(ctx context.Context, seq uint64) error {
	for {
		a := c.machine.Applied()
		if a.Next > seq {
			return nil
		}
		if err := c.machine.WaitApplied(ctx, a.Index+1); err != nil {
			return err
		}
	}
}

// moment finds the event that a reading begins with: a sequence, "end", a time, or where
// a cursor stands. A sequence is what it is, and is waited for. For all else this node
// must know what was acknowledged anywhere, or a reading would begin too early.
func (c *changes) moment(ctx context.Context, s string) (from uint64, err error) {
	if seq, err := strconv.ParseUint(s, 10, 64); err == nil {
		return seq, nil
	}
	name, isCursor := strings.CutPrefix(s, "cursor:")
	if !isCursor {
		if _, _, err := audit.ParseMoment(s, 0); err != nil {
			return 0, fmt.Errorf("%w: %w, nor \"end\" or \"cursor:NAME\"", errBadAsk, err)
		}
	}
	v, err := c.view(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if isCursor {
		row, err := cursorIn(v, name)
		return row.GetNext(), err
	}
	seq, at, err := audit.ParseMoment(s, v.Applied().Next)
	if err != nil || at.IsZero() {
		return seq, err
	}
	return audit.At(v.Applied().Next, at, func(seq uint64) ([]byte, error) {
		r, err := c.record(seq)
		return r.Envelope, err
	})
}

// view shows the state at a linearizable point.
func (c *changes) view(ctx context.Context) (*fsm.View, error) {
	v, err := c.present(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: this node cannot see the present: %w", errNotNow, err)
	}
	return v, nil
}

// Detail is all of an event.
func (n *Node) Detail(ctx context.Context, seq uint64) (d *audit.Detail, err error) {
	v, err := n.machine.View()
	if err == nil && v.Applied().Next <= seq { // here; it may have happened elsewhere
		if err = v.Close(); err == nil {
			v, err = n.changes.view(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	r, err := n.changes.record(seq)
	if err != nil {
		return nil, err
	}
	return audit.NewWords(v, n.changes.record).Detail(&r)
}

func (n *Node) showEvent(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		n.changesError(w, fmt.Errorf("%w: %q is not a sequence", errBadAsk, r.PathValue("seq")))
		return
	}
	d, err := n.Detail(r.Context(), seq)
	if err != nil {
		n.changesError(w, err)
		return
	}
	writeJSON(w, d)
}

// changesError tells why the feed does not give what was asked for.
func (n *Node) changesError(w http.ResponseWriter, err error) {
	status, text := 0, err.Error()
	switch {
	case errors.Is(err, errConflict):
		status = http.StatusConflict
	case errors.Is(err, wal.ErrNotHere):
		status, text = http.StatusServiceUnavailable, "this node came by a snapshot and is still fetching the records of these events from other nodes: try again, or ask another node"
	case errors.Is(err, wal.ErrClosed):
		status, text = http.StatusServiceUnavailable, "this node is starting or stopping: try again, or ask another node"
	case errors.Is(err, errNotNow):
		status = http.StatusServiceUnavailable
	default:
		n.adminError(w, err)
		return
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	http.Error(w, text, status)
}

// Cursor is how far a consumer of the change feed has come, by a name that it chose.
type Cursor struct {
	Name string    `json:"name"`
	Next uint64    `json:"next"`          // events below it are done
	Time time.Time `json:"time,omitzero"` // log time of when it was moved; not in the answer to a move
}

func cursorOf(name string, row *fsm.Cursor) Cursor {
	return Cursor{Name: name, Next: row.Next, Time: time.Unix(0, row.Time).UTC()}
}

// cursorIn is a cursor of the feed as a view shows it.
func cursorIn(v *fsm.View, name string) (*fsm.Cursor, error) {
	row, err := v.Cursor(0, event.CursorKind_CURSOR_KIND_FEED, name)
	if err == nil && row == nil {
		err = fmt.Errorf("%w: no cursor %q", errNoObject, name)
	}
	return row, err
}

// Cursor tells where a cursor of the change feed stands.
func (n *Node) Cursor(ctx context.Context, name string) (c *Cursor, err error) {
	v, err := n.changes.view(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	row, err := cursorIn(v, name)
	if err != nil {
		return nil, err
	}
	at := cursorOf(name, row)
	return &at, nil
}

// Cursors lists the cursors of the change feed, by name.
func (n *Node) Cursors(ctx context.Context) (list []Cursor, err error) {
	v, err := n.changes.view(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	all, err := v.Cursors(0)
	list = []Cursor{}
	for _, c := range all {
		if c.Kind == event.CursorKind_CURSOR_KIND_FEED {
			list = append(list, cursorOf(c.Name, c.Row))
		}
	}
	return list, err
}

// MoveCursor moves a cursor forward from where it stands; from 0 it is made. Of two that
// move it from the same place one is refused, so that whoever is not the only one finds out.
func (n *Node) MoveCursor(ctx context.Context, name string, from, to uint64) (*Cursor, error) {
	r, err := n.tell(ctx, event.NewDraft(nil, &event.Statement_CursorSet{CursorSet: &event.CursorSet{
		Kind: event.CursorKind_CURSOR_KIND_FEED, From: from, To: to,
	}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, name))
	if errors.Is(err, wal.ErrUnknown) {
		return nil, err // it may have been moved: that is for the caller to look at
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotNow, err)
	}
	switch r {
	case event.Refusal_REFUSAL_NONE:
		return &Cursor{Name: name, Next: to}, nil
	case event.Refusal_REFUSAL_CONFLICT:
		stands := "there is none"
		if c, err := n.Cursor(ctx, name); err == nil {
			stands = fmt.Sprintf("it stands at %d", c.Next)
		}
		return nil, fmt.Errorf("%w: the cursor %q was not at %d: %s", errConflict, name, from, stands)
	case event.Refusal_REFUSAL_INVALID:
		return nil, fmt.Errorf("%w: a cursor has a name of up to 1,024 bytes and moves forward, not beyond the last event", errBadAsk)
	}
	return nil, fmt.Errorf("%w: the cursor was not moved: %s", errBadAsk, r)
}

// DeleteCursor forgets a cursor.
func (n *Node) DeleteCursor(ctx context.Context, name string) error {
	r, err := n.tell(ctx, event.NewDraft(nil, &event.Statement_CursorDeleted{CursorDeleted: &event.CursorDeleted{
		Kind: event.CursorKind_CURSOR_KIND_FEED,
	}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, name))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errNotNow, err)
	case r == event.Refusal_REFUSAL_NOT_FOUND:
		return fmt.Errorf("%w: no cursor %q", errNoObject, name)
	case r != event.Refusal_REFUSAL_NONE:
		return fmt.Errorf("%w: the cursor was not deleted: %s", errBadAsk, r)
	}
	return nil
}

// cursor answers a request that is about a cursor, or about all of them.
func (n *Node) cursor(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), proposeTimeout)
	defer cancel()
	name := r.PathValue("name")
	var v any
	var err error
	switch {
	case name == "":
		v, err = n.Cursors(ctx)
	case r.Method == http.MethodPut:
		var from, to uint64
		if from, err = sequenceIn(r, "from"); err == nil {
			to, err = sequenceIn(r, "to")
		}
		if err == nil {
			v, err = n.MoveCursor(ctx, name, from, to)
		}
	case r.Method == http.MethodDelete:
		v, err = struct{}{}, n.DeleteCursor(ctx, name)
	default:
		v, err = n.Cursor(ctx, name)
	}
	if err != nil {
		n.changesError(w, err)
		return
	}
	writeJSON(w, v)
}

func sequenceIn(r *http.Request, name string) (uint64, error) {
	seq, err := strconv.ParseUint(r.URL.Query().Get(name), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s=%q is not a sequence", errBadAsk, name, r.URL.Query().Get(name))
	}
	return seq, nil
}
