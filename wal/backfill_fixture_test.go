package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/merkle"
	"ironman/wal/segment"
)

// history is a run of events as every node of a cluster has them.
type history struct {
	records []ledger.Record
	leaves  []Leaf
	entries map[uint64]segment.Entry // by index
	seqs    map[uint64]uint64        // of the events, by index
	edges   []merkle.Frontier        // by number of leaves
}

// newHistory makes n events with real encoding; name tells one cluster from another.
func newHistory(t testing.TB, name string, n int) *history {
	t.Helper()
	h := &history{entries: make(map[uint64]segment.Entry), seqs: make(map[uint64]uint64), edges: make([]merkle.Frontier, 1, n+1)}
	for i := range n {
		size := 10 + i%7*20
		h.add(t, name, size, i%50 == 13)
	}
	return h
}

// add appends an event with an item of some size.
func (h *history) add(t testing.TB, name string, size int, longOutcome bool) {
	t.Helper()
	seq := uint64(len(h.records))
	index := 5 + seq + seq/10 // some entries are no events
	id := make([]byte, event.RequestIDBytes)
	copy(id, fmt.Sprintf("%s %d", name, seq))
	d := event.NewDraft(&event.Header{RequestId: id}, &event.Statement_Cancel{Cancel: &event.Cancel{RequestId: id}})
	d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, fmt.Sprintf("%06d", seq)) // an item as long as an erased one
	d.AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, strings.Repeat("d", size))
	proposal, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	o := &event.Outcome{Time: int64(seq + 1)}
	if longOutcome {
		o.Etag = strings.Repeat("e", event.MaxInlineOutcome)
	}
	statement, items := event.Split(proposal)
	p, err := event.Parse(proposal)
	if err != nil {
		t.Fatal(err)
	}
	s, is, outcome := event.StatementHash(statement), p.ItemsHash(), event.Canonical(o)
	env := &event.Envelope{
		Seq: seq, Time: o.Time, Kind: p.Statement.Kind(), RequestId: id,
		StatementHash: s[:], ItemsHash: is[:], StateDigest: bytes.Repeat([]byte{byte(seq)}, 32),
	}
	leaf := Leaf{Seq: seq, Index: index}
	if longOutcome {
		sum := event.OutcomeHash(outcome)
		env.OutcomeHash, leaf.Outcome = sum[:], outcome
	} else {
		env.Outcome = outcome
	}
	leaf.Envelope = event.Canonical(env)
	h.leaves = append(h.leaves, leaf)
	h.seqs[index] = seq
	h.entries[index] = segment.Entry{Index: index, Term: 1, Data: event.AppendEntry(nil, o.Time, proposal)}
	h.records = append(h.records, ledger.Record{Seq: seq, Envelope: leaf.Envelope, Payload: ledger.Payload{
		Statement: statement, Items: ledger.Present(items), Outcome: outcome,
	}})
	edge := h.edges[seq]
	edge.Append(leaf.Envelope)
	h.edges = append(h.edges, edge)
}

// heldState is the part of a state machine that the archiver sees: it has applied
// some of a history and queues the last of its leaves.
type heldState struct {
	h    *history
	step func(op string) // before each change; may be nil
	sees func(dropped uint64)
	// erased is what was, ascending.
	erased []ledger.Target

	mu       sync.Mutex
	applied  uint64
	queued   uint64
	tampered map[uint64][]byte // leaves that are not what they should be
}

func (s *heldState) Erased(from, to uint64) (some []ledger.Target, err error) {
	for _, t := range s.erased {
		if t.Seq >= from && t.Seq < to {
			some = append(some, t)
		}
	}
	return some, nil
}

func (s *heldState) LedgerEdge() (*merkle.Frontier, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.h.edges[s.applied].Clone(), min(s.queued, s.applied), nil
}

func (s *heldState) Leaves(from uint64, most int) ([]Leaf, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from < s.queued || from >= s.applied {
		return nil, nil
	}
	leaves := append([]Leaf(nil), s.h.leaves[from:min(s.applied, from+uint64(most))]...)
	for i := range leaves {
		if b, ok := s.tampered[leaves[i].Seq]; ok {
			leaves[i].Envelope = b
		}
	}
	return leaves, nil
}

func (s *heldState) DropLeaves(seq uint64) error {
	if s.step != nil {
		s.step("drop leaves")
	}
	if s.sees != nil {
		s.sees(seq)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued = max(s.queued, min(seq, s.applied))
	return nil
}

func (s *heldState) grow(to int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = uint64(to)
}

// heldLog holds some entries of a history.
type heldLog struct {
	h        *history
	has      func(seq uint64) bool
	step     func(op string) // before each change; may be nil
	archived uint64          // index
}

func (l *heldLog) ArchiveEntry(index uint64) (segment.Entry, error) {
	e, ok := l.h.entries[index]
	if !ok {
		return e, fmt.Errorf("no entry %d", index)
	}
	if !l.has(l.h.seqs[index]) {
		return segment.Entry{}, segment.ErrNotFound
	}
	return e, nil
}

func (l *heldLog) SetArchived(index uint64) error {
	if l.step != nil {
		l.step("set archived")
	}
	if index < l.archived {
		return fmt.Errorf("archived sinks from %d to %d", l.archived, index)
	}
	l.archived = index
	return nil
}

// since says that entries are there from a sequence on.
func since(from uint64) func(uint64) bool { return func(seq uint64) bool { return seq >= from } }

// testLedger opens an archive without a signer, so that its files depend on the
// records alone.
func testLedger(t testing.TB, fs vfs.FS) *ledger.Archive {
	t.Helper()
	a, err := ledger.Open(ledger.Options{FS: fs, Dir: "ledger", Fatal: func(err error) { t.Helper(); t.Errorf("fatal: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func archived(t testing.TB, fs vfs.FS, h *history, size int) *ledger.Archive {
	t.Helper()
	a := testLedger(t, fs)
	if err := a.Append(h.records[:size]); err != nil {
		t.Fatal(err)
	}
	return a
}

// testPeer is a node that has archived some of a history.
type testPeer struct {
	node    *Node
	archive *ledger.Archive
	fs      *vfs.MemFS

	mu    sync.Mutex
	asked []recordsRequest
	// tamper, if set, sees each request and its answer, and changes or denies it.
	tamper func(r recordsRequest, answer []byte) ([]byte, error)
}

func newPeer(t testing.TB, h *history, size int) *testPeer {
	t.Helper()
	p := &testPeer{fs: vfs.NewMem()}
	p.archive = archived(t, p.fs, h, size)
	p.node = &Node{opts: Options{Log: slog.New(slog.DiscardHandler)}}
	p.node.archiver.Store(&archiver{archive: p.archive})
	return p
}

func (p *testPeer) ask(request []byte) ([]byte, error) {
	r, err := decodeRecordsRequest(request)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r)
	answer, err := p.node.answerRecords(request)
	if err == nil && p.tamper != nil {
		return p.tamper(r, answer)
	}
	return answer, err
}

// firsts are the sequences that were asked for.
func (p *testPeer) firsts() (out []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.asked {
		out = append(out, r.from)
	}
	return out
}

// filler is a node whose ledger has a gap, as far as the archiver sees it.
type filler struct {
	*archiver
	t     testing.TB
	fs    *vfs.MemFS
	state *heldState
	log   *heldLog
	lines *lines
	peers map[string]*testPeer
}

// newFiller makes a node that has archived a events, queues leaves from q on, has
// the log's entries that has tells, and has applied n events.
func newFiller(t testing.TB, h *history, a, q, n int, has func(uint64) bool) *filler {
	t.Helper()
	f := &filler{t: t, fs: vfs.NewMem(), lines: &lines{}, peers: map[string]*testPeer{}}
	f.state = &heldState{h: h, applied: uint64(n), queued: uint64(q)}
	f.log = &heldLog{h: h, has: has}
	f.archiver = f.over(archived(t, f.fs, h, a))
	return f
}

// over makes the archiver over an archive.
func (f *filler) over(a *ledger.Archive) *archiver {
	p := defaultPace()
	p.retry = time.Millisecond
	return &archiver{
		state: f.state, log: f.log, archive: a, pace: p, now: time.Now,
		logger: slog.New(slog.NewTextHandler(f.lines, nil)),
		peers: ledgerPeers{list: f.names, ask: func(_ context.Context, id string, request []byte) ([]byte, error) {
			return f.peers[id].ask(request)
		}},
	}
}

func (f *filler) names() (out []string) {
	for i := range len(f.peers) {
		out = append(out, fmt.Sprintf("node-%d", i+2))
	}
	return out
}

// add adds a peer; the first is node-2.
func (f *filler) add(p *testPeer) *testPeer {
	f.peers[fmt.Sprintf("node-%d", len(f.peers)+2)] = p
	return p
}

// run steps until there is nothing to do.
func (f *filler) run(ctx context.Context) {
	f.t.Helper()
	for more := true; more; {
		var err error
		if more, err = f.step(ctx); err != nil {
			f.t.Fatal(err)
		}
		if f.archive.Size()%ledger.BundleSize != 0 {
			f.t.Fatalf("an archive of %d events", f.archive.Size())
		}
	}
}

// check expects the files of the first size events, and a ledger that verifies.
func (f *filler) check(size int) {
	f.t.Helper()
	checkLedger(f.t, f.fs, f.archive, f.state.h, size)
	if f.state.queued < min(f.state.applied, uint64(size)) || size > 0 && f.log.archived > f.state.h.leaves[size-1].Index {
		f.t.Fatalf("queue from %d, log archived up to entry %d, ledger of %d events", f.state.queued, f.log.archived, size)
	}
	if f.reach.Load() != 0 {
		f.t.Fatal("the back-fill has no end")
	}
}

// checkLedger expects in fs the files that an archive of the first size events has.
func checkLedger(t testing.TB, fs vfs.FS, a *ledger.Archive, h *history, size int) {
	t.Helper()
	if a.Size() != uint64(size) {
		t.Fatalf("%d events archived instead of %d", a.Size(), size)
	}
	if err := a.Verify(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if root := h.edges[size].Root(); a.Tree().Hash != root {
		t.Fatal("the ledger's root is not the state's")
	}
	sameFiles(t, ledgerFiles(t, fs), h.files(t, size))
}

// files are those of an archive of the first size events.
func (h *history) files(t testing.TB, size int) map[string]string {
	fs := vfs.NewMem()
	archived(t, fs, h, size)
	return ledgerFiles(t, fs)
}

// ledgerFiles lists every file of the ledger with its content.
func ledgerFiles(t testing.TB, fs vfs.FS) map[string]string {
	t.Helper()
	out := make(map[string]string)
	var walk func(dir string)
	walk = func(dir string) {
		names, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			name = path.Join(dir, name)
			st, err := fs.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if st.IsDir() {
				walk(name)
				continue
			}
			b, err := readFile(fs, name, int(st.Size()))
			if err != nil {
				t.Fatal(err)
			}
			out[name] = string(b)
		}
	}
	walk("ledger")
	return out
}

func readFile(fs vfs.FS, name string, size int) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if size > 0 {
		_, err = f.ReadAt(b, 0)
	}
	return b, errors.Join(err, f.Close())
}

func sameFiles(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, data := range want {
		if have, ok := got[name]; !ok || have != data {
			t.Fatalf("%s: there %v, as it should be %v", name, ok, have == data)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d files instead of %d", len(got), len(want))
	}
}

// lines is a log in memory.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// with returns the lines that hold all the words.
func (l *lines) with(words ...string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.b.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		out = append(out, line)
	}
	return out
}
