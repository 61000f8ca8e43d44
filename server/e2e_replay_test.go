package server_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/sim/offline"
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
	if err := mem.MkdirAll("/wal", 0o700); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "wal")
	for _, d := range []string{"log", "ledger"} {
		if ok, err := vfs.Clone(vfs.Default, mem, filepath.Join(source, d), "/wal/"+d); err != nil || !ok {
			t.Fatal(d, err)
		}
	}
	r, err := offline.Replay(mem, "/", offline.Agreed{Events: want.Events, StateDigest: want.StateDigest, LedgerRoot: want.LedgerRoot}, false, func(err error) { t.Fatal(err) })
	if err != nil {
		t.Errorf("replay: %v", err)
	}
	t.Logf("replayed %d events: %d of the ledger, %d entries of the log", want.Events, r.Archived, r.FromLog)
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
