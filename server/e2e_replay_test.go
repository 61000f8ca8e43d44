package server_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/server"
	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/segment"
)

// checkReplay applies the events of a stopped node, from the first, to an empty
// state machine, and compares state digest and ledger root with what the node
// said. The events come from the ledger's payloads as far as they are archived,
// and from the log's files after that. Between the question and its end the node may
// have proposed events of its own: the replay ends where the node said it stood.
func checkReplay(t testing.TB, dir string, want *server.Status) {
	t.Helper()
	// A copy in memory: opening the log writes to it.
	mem := vfs.NewMem()
	source := filepath.Join(dir, "wal")
	for _, d := range []string{"log", "ledger"} {
		if ok, err := vfs.Clone(vfs.Default, mem, filepath.Join(source, d), "/"+d); err != nil || !ok {
			t.Fatal(d, err)
		}
	}
	fatal := func(err error) { t.Fatal(err) }
	m, err := fsm.Open(fsm.Options{FS: mem, Dir: "/state", Fatal: fatal})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	archived := replayLedger(t, mem, m, want.Events)
	fromLog := replayLog(t, mem, m, want.Events)
	a := m.Applied()
	f, err := m.Frontier()
	if err != nil {
		t.Fatal(err)
	}
	root := f.Root()
	t.Logf("replayed %d events: %d of the ledger, %d entries of the log", a.Next, archived, fromLog)
	if got := hex.EncodeToString(a.Digest.Bytes()); a.Next != want.Events || got != want.StateDigest {
		t.Errorf("replay: %d events, state digest %s; the node said %d, %s", a.Next, got, want.Events, want.StateDigest)
	}
	if got := hex.EncodeToString(root[:]); got != want.LedgerRoot {
		t.Errorf("replay: ledger root %s, the node said %s", got, want.LedgerRoot)
	}
}

// replayLedger applies what is archived and checks every envelope against the one
// that the replay makes.
func replayLedger(t testing.TB, mem vfs.FS, m *fsm.Machine, until uint64) uint64 {
	t.Helper()
	archive, err := ledger.Open(ledger.Options{FS: mem, Dir: "/ledger", ReadOnly: true, Fatal: func(err error) { t.Fatal(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var seq uint64
	for r, err := range archive.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		if seq == until {
			break
		}
		env := &event.Envelope{}
		if err := event.Decode(r.Envelope, env); err != nil || r.Seq != seq || env.Seq != seq {
			t.Fatalf("record %d: %v", seq, err)
		}
		p := &event.Proposal{Statement: r.Statement}
		for i := range r.Items {
			p.Items = append(p.Items, r.Items[i].Bytes)
		}
		res := m.Apply([]fsm.Entry{{Index: seq + 1, Term: 1, Data: event.AppendEntry(nil, env.Time, event.Canonical(p))}})[0]
		if res.Seq != seq || res.Duplicate {
			t.Fatalf("event %d became %+v", seq, res)
		}
		leaves, err := m.Leaves(seq, 1)
		if err != nil || len(leaves) != 1 || !bytes.Equal(leaves[0].Envelope, r.Envelope) {
			t.Fatalf("event %d has another envelope than in the ledger: %v", seq, err)
		}
		seq++
	}
	if root, err := archive.Root(seq); err != nil || fmt.Sprintf("%x", root[:]) != rootOf(t, m) {
		t.Errorf("the ledger's root of %d events is not the replay's: %v", seq, err)
	}
	return seq
}

func rootOf(t testing.TB, m *fsm.Machine) string {
	f, err := m.Frontier()
	if err != nil {
		t.Fatal(err)
	}
	root := f.Root()
	return hex.EncodeToString(root[:])
}

// replayLog applies what the log's files hold. What the ledger held already is
// known by its request id and changes nothing.
func replayLog(t testing.TB, mem vfs.FS, m *fsm.Machine, until uint64) int {
	t.Helper()
	log, err := segment.Open(segment.Options{FS: mem, Dir: "/log", Fatal: func(err error) { t.Fatal(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	const command = 0 // Raft's type of an entry that holds an event
	index, n := m.Applied().Index, 0
	// A snapshot truncates logically: what is not in the ledger yet is in the files.
	first := log.First()
	for first > 1 {
		if _, err := log.ArchiveEntry(first - 1); err != nil {
			break
		}
		first--
	}
	for i := first; i > 0 && i <= log.Last() && m.Applied().Next < until; i++ {
		e, err := log.ArchiveEntry(i)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != command {
			continue
		}
		index++
		m.Apply([]fsm.Entry{{Index: index, Term: 1, Data: e.Data}})
		n++
	}
	return n
}

// TestReplay fills a node, restarts it, stops it, and replays its events.
func TestReplay(t *testing.T) {
	p := newProcess(t)
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/replay", nil)
	for i := range 700 {
		c.must(t, 200, "PUT", fmt.Sprintf("/replay/key-%d", i%100), content(uint64(i), 100*(i%9)), header("X-Amz-Meta-N", fmt.Sprint(i)))
		if i%5 == 0 {
			c.must(t, 204, "DELETE", fmt.Sprintf("/replay/key-%d", (i*7)%100), nil)
		}
	}
	before := p.status()
	p.kill()
	p.start()
	after := p.status()
	// A start is an event itself, and what it makes of the disks is others.
	if after.Events <= before.Events || after.Incarnation <= before.Incarnation || after.Archived < before.Archived {
		t.Errorf("after a restart: %+v, before: %+v", after, before)
	}
	if after.Archived < 512 {
		t.Errorf("only %d events are archived", after.Archived)
	}
	c = p.client()
	c.must(t, 200, "PUT", "/replay/last", []byte("x"))
	after = p.status()
	p.stop()
	checkReplay(t, p.dir, after)
}
