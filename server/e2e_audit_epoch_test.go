package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/server"
	"ironman/server/audit"
	"ironman/sim/offline"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// secondEpoch is a node's record whose ledger has gone on in a second epoch.
type secondEpoch struct {
	fs          *vfs.MemFS
	origin, key string // of the second epoch
	former      string // key of the first one
	begun       uint64 // the event that began it
	agreed      offline.Agreed
}

// beginSecondEpoch runs a node with so many events before and after an epoch begins. From
// then on the node is none of its cluster any more, and signs as before until it stops.
func beginSecondEpoch(t *testing.T, before, after int) *secondEpoch {
	t.Helper()
	r := &secondEpoch{fs: vfs.NewMem()}
	p := openInProcess(t, r.fs, "/audited")
	propose := func(d *event.Draft) *event.Outcome {
		t.Helper()
		o, err := p.node.ProposeForTest(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	idle := func(n int) {
		t.Helper()
		for range n {
			id := make([]byte, event.RequestIDBytes)
			rand.Read(id)
			propose(event.NewDraft(nil, &event.Statement_Cancel{Cancel: &event.Cancel{RequestId: id}}))
		}
	}
	var genesis struct {
		Statement struct {
			ClusterInitialized struct{ LedgerOrigin, LedgerKey string }
		}
	}
	if err := json.Unmarshal(p.adminGet(t, "/-/events/0"), &genesis); err != nil {
		t.Fatal(err)
	}
	first := genesis.Statement.ClusterInitialized
	r.former, r.origin = first.LedgerKey, strings.TrimSuffix(first.LedgerOrigin, "/1")+"/2"
	public, err := base64.StdEncoding.DecodeString(strings.SplitN(first.LedgerKey, "+", 3)[2])
	if err != nil || r.origin == first.LedgerOrigin {
		t.Fatalf("%+v: %v", first, err)
	}
	if r.key, err = note.NewEd25519VerifierKey(r.origin, ed25519.PublicKey(public[1:])); err != nil {
		t.Fatal(err)
	}
	idle(before)
	r.begun = p.events(t)
	o := propose(event.NewDraft(nil, &event.Statement_EpochBegun{EpochBegun: &event.EpochBegun{
		PublicKey: []byte("of the node that goes on"), LinkAddress: "127.0.0.1:1", LedgerOrigin: r.origin, LedgerKey: r.key, Remark: "a test",
	}}))
	if o.Refusal != event.Refusal_REFUSAL_NONE || o.Allocated != 2 {
		t.Fatal(o)
	}
	idle(after)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * ms) {
		s, err := p.node.Status()
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("not archived: %+v, %v", s, err)
		}
		r.agreed = offline.Agreed{Events: s.Events, StateDigest: s.StateDigest, LedgerRoot: s.LedgerRoot}
		if s.Archived == s.Events/256*256 {
			break
		}
	}
	p.close(t)
	return r
}

// open opens the record, with a signer for whatever origin it has.
func (r *secondEpoch) open(t *testing.T, key string) (*audit.Node, error) {
	t.Helper()
	return audit.Open(audit.Options{FS: r.fs, Dir: auditDir, Key: key, Signer: func(origin string) (note.Signer, error) {
		return server.LedgerSigner(r.fs, auditDir, origin, false)
	}})
}

// TestAuditEpochs: an audit goes by the newest epoch of what it looks at; what the one before
// has signed counts as far as that went.
func TestAuditEpochs(t *testing.T) {
	t.Parallel()
	r := beginSecondEpoch(t, 300, 20)
	if _, err := r.open(t, r.former); err == nil || !strings.Contains(err.Error(), "goes on in another epoch, with the key "+r.key) {
		t.Errorf("with the key of the first epoch: %v", err)
	}
	n, err := r.open(t, r.key)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, n)
	v, err := n.Verify(t.Context(), nil)
	if err != nil || n.Origin != r.origin || n.Key != r.key || v.Signed != 256 || uint64(v.Tree.N) != r.agreed.Events {
		t.Fatalf("%s, %s: %+v, %v", n.Origin, n.Key, v, err)
	}
	for _, seq := range []uint64{0, 255, 256, r.begun, r.agreed.Events - 1} {
		b, err := n.Prove(seq)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := audit.Check(b, r.key); err != nil || p.Seq != seq || p.Origin != r.origin {
			t.Errorf("event %d: %+v, %v", seq, p, err)
		}
		if _, err := audit.Check(b, r.former); err == nil {
			t.Errorf("event %d is proven by the key of the first epoch", seq)
		}
	}
	if _, _, _, err := n.Consistent(256, r.agreed.Events); err != nil {
		t.Error(err)
	}
	if got, err := offline.Replay(r.fs, auditDir, r.agreed, false, func(err error) { panic(err) }); err != nil || got.Archived != 256 {
		t.Errorf("replayed %+v, %v", got, err)
	}
	// An export is of the epoch that it is signed in: with its beginning the second.
	for _, x := range []struct {
		dir  string
		size uint64
	}{{"/whole", 0}, {"/first", r.begun}} {
		if err := n.Export(t.Context(), r.fs, x.dir, x.size, true); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"", r.key} {
			got, err := audit.VerifyExport(t.Context(), r.fs, x.dir, key, nil)
			if names := x.size == 0 || key != ""; (err == nil) != names {
				t.Errorf("%s by %q: %v", x.dir, key, err)
			} else if names && (got.Origin != r.origin || got.Key != r.key) {
				t.Errorf("%s by %q: %+v", x.dir, key, got)
			}
		}
		if _, err := audit.VerifyExport(t.Context(), r.fs, x.dir, r.former, nil); !errors.Is(err, ledger.ErrSignature) {
			t.Errorf("%s by the key of the first epoch: %v", x.dir, err)
		}
	}
	x, err := audit.OpenExport(r.fs, "/whole", "")
	if err != nil || x.Key != r.key {
		t.Fatal(x, err)
	}
	if _, err := x.Replay(t.Context(), emptyState(t), x.Size(), nil); err != nil {
		t.Error(err)
	}
	found := 0
	err = x.Log(t.Context(), audit.Filter{Kinds: []string{"epoch_begun"}}, func(e *audit.Entry) error {
		if found++; e.Seq != r.begun || e.Outcome != "accepted" || e.Bucket != 0 || e.Actor != event.System {
			t.Errorf("%+v", e)
		}
		return nil
	})
	if err != nil || found != 1 {
		t.Errorf("%d entries, %v", found, err)
	}
}

// TestAuditEpochOver: what the key of an epoch signs beyond that epoch is not believed, though
// it is the tree that there is.
func TestAuditEpochOver(t *testing.T) {
	t.Parallel()
	r := beginSecondEpoch(t, 300, 300)
	if n, err := r.open(t, ""); !errors.Is(err, ledger.ErrSignature) || !strings.Contains(err.Error(), "ended behind") {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := offline.Replay(r.fs, auditDir, r.agreed, false, func(err error) { panic(err) }); err == nil {
		t.Error("it was replayed")
	}
	// Nor an export that was signed so: its own events name the key that it must have.
	a, err := ledger.Open(ledger.Options{
		FS: r.fs, Dir: auditDir + "/wal/ledger", ReadOnly: true, Origin: strings.TrimSuffix(r.origin, "2") + "1", Verifiers: verifiersOf(t, r.former),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Export(t.Context(), ledger.Export{FS: r.fs, Dir: "/signed-so", Payloads: true}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", r.former} {
		_, err = audit.VerifyExport(t.Context(), r.fs, "/signed-so", key, nil)
		var d *ledger.Damage
		if !errors.As(err, &d) || d.Seq != r.begun {
			t.Errorf("by %q: %v", key, err)
		}
	}
}

func verifiersOf(t *testing.T, key string) note.Verifiers {
	t.Helper()
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	return note.VerifierList(v)
}
