package server_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/audit"
	"ironman/wal/event"
)

// archivedEvent puts an object whose event is in the ledger's files when it returns, deletes it
// again, and returns the sequence of the event.
func (p *inProcess) archivedEvent(t *testing.T, bucket, key string) (seq uint64) {
	t.Helper()
	c := p.client()
	a := c.must(t, 200, "PUT", "/"+bucket+"/"+key, content(1, 10), header("X-Amz-Meta-M", "v"))
	if _, err := fmt.Sscan(a.header.Get("X-Ironman-Sequence"), &seq); err != nil {
		t.Fatal(err)
	}
	c.must(t, 204, "DELETE", "/"+bucket+"/"+key, nil)
	for began := time.Now(); ; {
		s, err := p.node.Status()
		if err != nil {
			t.Fatal(err)
		}
		if s.Archived > seq {
			return seq
		}
		for range 64 {
			c.must(t, 200, "PUT", "/"+bucket+"?acl", []byte{}, header("X-Amz-Acl", "private"))
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("event %d is not archived: %+v", seq, s)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestProveErased: a proof has nothing of what was erased, whether or not this node has
// carried the erasure out.
func TestProveErased(t *testing.T) {
	t.Parallel()
	const key = "a-key-that-must-go"
	p := openInProcess(t, vfs.NewMem(), "prove", func(o *server.Options) { o.HistoryRetention = 0 })
	p.client().must(t, 200, "PUT", "/erase", nil)
	seq := p.archivedEvent(t, "erase", key)
	head, err := p.node.LedgerConsistency(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	proven := func() *audit.Proven {
		t.Helper()
		b, err := p.node.ProveEvent(seq)
		if err != nil {
			t.Fatal(err)
		}
		x, err := audit.Check(b, head.Head.Key)
		if err != nil || x.Seq != seq {
			t.Fatalf("event %d: %+v, %v", seq, x, err)
		}
		return x
	}
	if x := proven(); x.Erased != 0 || len(x.Keys) != 1 || x.Keys[0] != key {
		t.Fatalf("before it is erased: %+v", x)
	}
	v, err := p.node.ViewForTest() // the state's files are not rewritten before it is closed
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.node.Erase(t.Context(), &server.Erase{Bucket: "erase", Keys: []string{key}}, func(uint64, uint64) {})
	if err != nil || len(plan.Erasures) != 1 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if x := proven(); x.Erased == 0 || len(x.Keys) > 0 {
		t.Errorf("erased, and not carried out yet: %+v", x)
	}
	x, err := p.node.Erasures(t.Context())
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil || x.Done() {
		t.Errorf("it was carried out while a view was open: %+v, %v", x, err)
	}
}

// TestProveOnline: a proof that a node gives is checked, with and without a key at hand: one of
// another event, one that was changed and one that is too long are none, and the next node
// is asked.
func TestProveOnline(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "online")
	p.client().must(t, 200, "PUT", "/online", nil)
	seq := p.archivedEvent(t, "online", "k")
	key := ""
	if head, err := p.node.LedgerConsistency(1, 1); err == nil {
		key = head.Head.Key
	}
	// liar is a node whose proofs are changed.
	liar := func(change func(proof []byte) []byte) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ask, err := http.NewRequestWithContext(r.Context(), r.Method, p.admin+r.URL.String(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			ask.Header = r.Header
			a, err := http.DefaultClient.Do(ask)
			if err != nil {
				t.Error(err)
				return
			}
			defer a.Body.Close()
			b, err := io.ReadAll(a.Body)
			if err != nil {
				t.Error(err)
			}
			if strings.Contains(r.URL.Path, "/proof/") {
				b = change(b)
			}
			w.WriteHeader(a.StatusCode)
			_, _ = w.Write(b) // whoever asked may have read enough
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	other := liar(func([]byte) []byte {
		b, err := p.node.ProveEvent(seq + 1)
		if err != nil {
			t.Error(err)
		}
		return b
	})
	changed := liar(func(b []byte) []byte {
		at := bytes.IndexByte(b, '\n') + 10
		b[at]++
		return b
	})
	long := liar(func(b []byte) []byte { return append(b, bytes.Repeat([]byte("\n"), audit.MaxProofBytes)...) })
	for _, c := range []struct {
		admin string
		key   string
		fails string
	}{
		{p.admin, "", ""}, {p.admin, key, ""}, {p.admin, strings.Replace(key, "+", "+0", 1), "key"},
		{other, "", fmt.Sprintf("event %d, not %d", seq+1, seq)}, {other, key, "not"}, {changed, "", "audit"}, {changed, key, "audit"}, {long, "", "a proof of"},
		{other + "," + changed + "," + p.admin, "", ""},
	} {
		to := filepath.Join(t.TempDir(), "proof")
		args := []string{"audit", "prove", fmt.Sprint(seq), "--admin", c.admin, "-o", to}
		if c.key != "" {
			args = append(args, "--key", c.key)
		}
		cmd := exec.Command(program(t), args...)
		cmd.Env = append(os.Environ(), "IRONMAN_ROOT_ACCESS_KEY="+p.cred.AccessKey, "IRONMAN_ROOT_SECRET_KEY="+string(p.cred.Secret.Reveal()))
		out, err := cmd.CombinedOutput()
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(string(out), c.fails) {
			t.Errorf("%v: %v: %s", args, err, out)
		}
		b, readErr := os.ReadFile(to)
		if err != nil {
			if readErr == nil {
				t.Errorf("%v: a file was written", args)
			}
			continue
		}
		if x, err := audit.Check(b, key); err != nil || x.Seq != seq {
			t.Errorf("%v: %+v, %v", args, x, err)
		}
	}
}

// TestErasePlan: what is told of a search is bounded, whatever an event holds; an encryption
// context, which stays, is told of; and there is one search at a time.
func TestErasePlan(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "plan", func(o *server.Options) { o.HistoryRetention = 0 })
	c := p.client()
	c.must(t, 200, "PUT", "/plan", nil)
	c.must(t, 200, "PUT", "/plan/sealed", content(1, 10), header("X-Amz-Server-Side-Encryption", "aws:kms"), header("X-Amz-Server-Side-Encryption-Context", "eyJhIjoiYiJ9"))
	const events, keys = 3, 900
	long := strings.Repeat("k", 200)
	v, err := p.node.ViewForTest()
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.BucketByName("plan")
	if err := errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	for e := range events { // which find nothing to delete: the front would not ask for that
		deleted := &event.ObjectsDeleted{Bucket: b.Bucket}
		d := event.NewDraft(nil, &event.Statement_ObjectsDeleted{ObjectsDeleted: deleted})
		for k := range keys {
			deleted.Targets = append(deleted.Targets, &event.DeleteTarget{})
			d.AddText(event.ItemKind_ITEM_KIND_KEY, k, fmt.Sprintf("%s-%d-%d", long, e, k))
		}
		if o, err := p.node.ProposeForTest(t.Context(), d); err != nil || o.Refusal != 0 {
			t.Fatalf("%v, %v", o, err)
		}
	}
	c.must(t, 204, "DELETE", "/plan/sealed", nil)
	erase := &server.Erase{Bucket: "plan", Prefix: "k", DryRun: true}
	again, second := error(nil), false
	plan, err := p.node.Erase(t.Context(), erase, func(uint64, uint64) {
		if !second {
			second = true
			_, again = p.node.Erase(t.Context(), erase, func(uint64, uint64) {})
		}
	})
	if err != nil || plan.Payloads != events || plan.Contexts != 0 || len(plan.Found) != events {
		t.Fatalf("%+v, %v", plan, err)
	}
	if again == nil || !strings.Contains(again.Error(), "try again") {
		t.Errorf("a second search beside the first: %v", again)
	}
	for _, f := range plan.Found {
		if len(f.Keys) == 0 || len(f.Keys) > 10 || f.Count != keys || f.Items < keys {
			t.Errorf("event %d: %d keys are told of %d, %d items", f.Seq, len(f.Keys), f.Count, f.Items)
		}
	}
	erase.Prefix, erase.Keys = "", []string{"sealed"}
	if plan, err = p.node.Erase(t.Context(), erase, func(uint64, uint64) {}); err != nil || plan.Payloads != 2 || plan.Contexts != 1 {
		t.Errorf("of what has an encryption context: %+v, %v", plan, err)
	}
	// As lines, one for each event.
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.admin+"/-/erasures", strings.NewReader(`{"bucket":"plan","prefix":"k","dry_run":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	a, err := c.send(r)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, line := range bytes.Split(a.body, []byte("\n")) {
		if len(line) > 64<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if bytes.HasPrefix(line, []byte(`{"found":`)) {
			found++
		}
	}
	if found != events {
		t.Errorf("%d events are told of in lines of their own: %.300s", found, a.body)
	}
}

// TestErasuresOfNodes: who has to carry erasures out is said by the same view of the state as
// which there are; of a node that was removed it is said that it is out of reach.
func TestErasuresOfNodes(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "members")
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	propose := func(s *event.Statement) {
		t.Helper()
		if o, err := p.node.ProposeForTest(t.Context(), event.NewDraft(nil, s.Body)); err != nil || o.Refusal != 0 {
			t.Fatalf("%v, %v", o, err)
		}
	}
	told := func() string {
		t.Helper()
		x, err := p.node.Erasures(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var nodes []uint32
		for _, n := range x.Nodes {
			nodes = append(nodes, n.Node)
		}
		return fmt.Sprint(nodes, x.Removed)
	}
	if got := told(); got != "[1] []" {
		t.Errorf("alone: %s", got)
	}
	propose(&event.Statement{Body: &event.Statement_NodeAdded{NodeAdded: &event.NodeAdded{PublicKey: key, LinkAddress: "127.0.0.1:1"}}})
	if got := told(); got != "[1 2] []" {
		t.Errorf("as soon as another was added: %s", got)
	}
	propose(&event.Statement{Body: &event.Statement_NodeRemoved{NodeRemoved: &event.NodeRemoved{Node: 2}}})
	if got := told(); got != "[1] [2]" {
		t.Errorf("as soon as it was removed: %s", got)
	}
}
