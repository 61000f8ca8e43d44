package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/fsm"
	"ironman/s3api/sig"
	"ironman/server"
	"ironman/server/audit"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// recorded is a node that stopped, with what clients did to it.
type recorded struct {
	fs      *vfs.MemFS
	crashed vfs.FS // what was durable before it stopped in order
	large   uint64 // an event of more than 64 KiB
	status  server.Status
	objects []map[string]string // behind each write: the bucket's keys and their bytes
	after   []uint64            // how many events there were then
	deleted int                 // how many keys were deleted that were there
}

const auditDir = "/audited/node"

// record runs a node until it has more than a bundle of events, and some behind it.
func record(t *testing.T) *recorded {
	t.Helper()
	r := &recorded{fs: vfs.NewCrashableMem()}
	p := openInProcess(t, r.fs, "/audited")
	c := p.client()
	c.must(t, 200, "PUT", "/books", nil)
	c.must(t, 200, "PUT", "/other", nil)
	c.must(t, 204, "DELETE", "/other", nil)
	now := map[string]string{}
	for i := range 240 {
		key, text := fmt.Sprintf("k%d", i%90), fmt.Sprintf("text %d", i)
		c.must(t, 200, "PUT", "/books/"+key, []byte(text), header("X-Amz-Meta-Word", "canary-word"))
		now[key] = text
		if i%7 == 0 {
			gone := fmt.Sprintf("k%d", (i+3)%90)
			c.must(t, 204, "DELETE", "/books/"+gone, nil)
			if _, ok := now[gone]; ok { // else it is no event
				r.deleted++
			}
			delete(now, gone)
		}
		r.objects, r.after = append(r.objects, maps.Clone(now)), append(r.after, p.events(t))
	}
	c.must(t, 200, "PUT", "/books/k1?tagging", []byte("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"))
	c.must(t, 204, "PUT", "/books?policy", rules(rule("Allow", everybody, "s3:PutObject", "books/open", "")))
	// An event of more than 64 KiB: keys that are not there get markers.
	c.must(t, 200, "PUT", "/many", nil)
	c.must(t, 200, "PUT", "/many?versioning", []byte(versionsOn))
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "<Object><Key>%s%d</Key></Object>", strings.Repeat("long", 50), i)
	}
	c.must(t, 200, "POST", "/many?delete", []byte("<Delete><Quiet>true</Quiet>"+many.String()+"</Delete>"))
	r.large = p.events(t) - 1
	anybody := *c
	anybody.cred = sig.Credential{}
	anybody.must(t, 200, "PUT", "/books/open", []byte("by anybody"))
	for deadline := time.Now().Add(time.Minute); r.status.Archived == 0; time.Sleep(10 * ms) {
		if err := json.Unmarshal(p.adminGet(t, "/-/status"), &r.status); err != nil || time.Now().After(deadline) {
			t.Fatalf("nothing is archived: %+v, %v", r.status, err)
		}
	}
	if _, err := audit.Open(audit.Options{FS: r.fs, Dir: auditDir}); err == nil {
		t.Error("the record of a node that runs was opened")
	}
	r.crashed = r.fs.CrashClone(vfs.CrashCloneCfg{})
	p.close(t)
	return r
}

func (r *recorded) open(t *testing.T, sign bool) *audit.Node {
	t.Helper()
	o := audit.Options{FS: r.fs, Dir: auditDir}
	if sign {
		o.Signer = func(origin string) (note.Signer, error) { return server.LedgerSigner(r.fs, auditDir, origin, false) }
	}
	n, err := audit.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// closed closes a record before another look at it.
func closed(t *testing.T, n *audit.Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func emptyState(t *testing.T) *fsm.Machine {
	t.Helper()
	m, err := fsm.Open(fsm.Options{FS: vfs.NewMem(), Dir: "/state", Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestAudit: the record of a stopped node says what its clients did, verifies, replays to
// the state that the node had, and is not changed by any of it.
func TestAudit(t *testing.T) {
	t.Parallel()
	r := record(t)
	before := allBytes(t, r.fs, auditDir)
	n := r.open(t, true)
	if n.Size() < r.status.Events || n.Archived() == 0 || n.Archived() == n.Size() {
		t.Fatalf("%d events are recorded, %d of them archived; the node had %d", n.Size(), n.Archived(), r.status.Events)
	}
	if behind := n.Behind(); behind != 0 {
		t.Errorf("%d events stand behind an orderly stop", behind)
	}
	t.Run("verify", func(t *testing.T) {
		v, err := n.Verify(t.Context(), nil)
		if err != nil || uint64(v.Tree.N) != n.Size() || v.Signed != n.Archived() {
			t.Fatalf("%+v, %v", v, err)
		}
	})
	t.Run("log", func(t *testing.T) { r.readLog(t, n) })
	t.Run("replay", func(t *testing.T) {
		got, err := n.Replay(t.Context(), emptyState(t), r.status.Events, nil)
		if err != nil || got.StateDigest != r.status.StateDigest || got.LedgerRoot != r.status.LedgerRoot || got.Events != r.status.Events {
			t.Errorf("%+v, %v; the node had %+v", got, err, r.status)
		}
		if _, err := n.Replay(t.Context(), emptyState(t), n.Size(), nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("diff", func(t *testing.T) { r.diff(t, n) })
	t.Run("proofs", func(t *testing.T) { r.prove(t, n) })
	archived := n.Archived()
	closed(t, n)
	unsigned := r.open(t, false)
	if _, err := unsigned.Prove(archived); err == nil {
		t.Error("an event behind the newest checkpoint was proven without a signer")
	}
	closed(t, unsigned)
	if after := allBytes(t, r.fs, auditDir); after != before {
		t.Error("an audit has changed what it read")
	}
}

// readLog compares the log with what was done.
func (r *recorded) readLog(t *testing.T, n *audit.Node) {
	read := func(f audit.Filter) (out []*audit.Entry) {
		t.Helper()
		if err := n.Log(t.Context(), f, func(e *audit.Entry) error { out = append(out, e); return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := read(audit.Filter{})
	for i, e := range all {
		if e.Seq != uint64(i) || i > 0 && !e.Time.After(all[i-1].Time) || e.Outcome == "" || e.Kind == "" {
			t.Fatalf("entry %d: %+v", i, e)
		}
	}
	if uint64(len(all)) != n.Size() || all[0].Kind != "cluster_initialized" || all[0].Actor != "system" {
		t.Errorf("%d entries of %d events, the first %+v", len(all), n.Size(), all[0])
	}
	made := slices.IndexFunc(all, func(e *audit.Entry) bool { return e.Kind == "bucket_created" })
	for _, tc := range []struct {
		what  string
		f     audit.Filter
		count int
	}{
		{"puts", audit.Filter{Kinds: []string{"object_put"}}, 241},
		{"deletions", audit.Filter{Operations: []string{"DeleteObject"}, Bucket: "books"}, r.deleted},
		{"of a key", audit.Filter{Key: "k89"}, 2},
		{"of a prefix", audit.Filter{Prefix: "ope"}, 1},
		{"by nobody", audit.Filter{Actor: "anonymous"}, 1},
		{"by a name", audit.Filter{Actor: "root", Kinds: []string{"bucket_created"}}, 3},
		{"of another bucket", audit.Filter{Bucket: "none"}, 0},
		{"refused", audit.Filter{Refused: true}, 0},
		{"of a bucket by its id", audit.Filter{Bucket: fmt.Sprintf("#%d", all[made].Seq), Kinds: []string{"bucket_created"}}, 1},
		{"of a bucket that is gone", audit.Filter{Bucket: "other"}, 2},
		{"of no bucket", audit.Filter{Bucket: "#0"}, 0},
		{"of a range", audit.Filter{From: 3, To: 10}, 7},
	} {
		if got := read(tc.f); len(got) != tc.count {
			t.Errorf("%s: %d entries, want %d", tc.what, len(got), tc.count)
		}
	}
	open := read(audit.Filter{Key: "open"})[0]
	if open.Why.By != "bucket_policy" || open.Name != "books" || open.Client == nil || open.Client.Address != "127.0.0.1" || open.Operation != "PutObject" {
		t.Errorf("%+v", open)
	}
	at, err := n.Moment(open.Time.Format("2006-01-02T15:04:05.999999999Z07:00"))
	if err != nil || at != open.Seq {
		t.Errorf("the moment of event %d is %d, %v", open.Seq, at, err)
	}
	rec, err := n.Record(open.Seq)
	if err != nil {
		t.Fatal(err)
	}
	detail, err := n.Detail(&rec)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(detail); err != nil || !strings.Contains(string(b), `"size":"10"`) {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := n.Record(n.Size()); err == nil {
		t.Error("there is an event behind the last")
	}
	// What is sealed is not shown, though the record has it.
	key := read(audit.Filter{Kinds: []string{"access_key_created"}})[0]
	if rec, err = n.Record(key.Seq); err != nil {
		t.Fatal(err)
	}
	var s event.Statement
	if err := event.Decode(rec.Statement, &s); err != nil || len(s.GetAccessKeyCreated().GetSealedSecret()) == 0 {
		t.Fatal(&s, err)
	}
	if detail, err = n.Detail(&rec); err != nil || strings.Contains(string(detail.Statement), "ealedSecret") || !strings.Contains(string(detail.Statement), "accessKey") {
		t.Errorf("%s, %v", detail.Statement, err)
	}
}

// TestNamesOfOldRecords: an event is not told without a name that cannot be looked up now, or a
// filter would pass it over for good.
func TestNamesOfOldRecords(t *testing.T) {
	t.Parallel()
	r := record(t)
	n := r.open(t, false)
	defer closed(t, n)
	var gone *ledger.Record
	for rec, err := range n.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		var s event.Statement
		if err := event.Decode(rec.Statement, &s); err != nil {
			t.Fatal(err)
		}
		if s.GetBucketDeleted() != nil {
			gone = &rec
		}
	}
	notHere := errors.New("not here yet")
	words := audit.NewWords(nil, func(uint64) (ledger.Record, error) { return ledger.Record{}, notHere })
	if e, err := words.Entry(gone); !errors.Is(err, notHere) {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := audit.NewWords(nil, n.Record).Entry(gone); err != nil || e.Name != "other" {
		t.Errorf("%+v, %v", e, err)
	}
}

// diff compares differences between random moments with what was done between them.
func (r *recorded) diff(t *testing.T, n *audit.Node) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		a := random.IntN(len(r.after))
		b := a + random.IntN(len(r.after)-a)
		d, err := n.Diff(t.Context(), emptyState(t), r.after[a], r.after[b], nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for k := range r.objects[a] {
			if _, ok := r.objects[b][k]; !ok {
				want[k] = "removed"
			} else if r.objects[a][k] != r.objects[b][k] {
				want[k] = "changed"
			}
		}
		for k := range r.objects[b] {
			if _, ok := r.objects[a][k]; !ok {
				want[k] = "made"
			}
		}
		got := map[string]string{}
		for _, c := range d.Changes {
			if c.How == "changed" && !slices.Contains(c.What, "bytes") {
				continue // deleted and put again: another version of the same bytes
			}
			got[c.Key] = c.How
		}
		if !maps.Equal(got, want) {
			t.Errorf("between %d and %d: %v, want %v", r.after[a], r.after[b], got, want)
		}
	}
	d, err := n.Diff(t.Context(), emptyState(t), r.after[len(r.after)-1], n.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range d.Changes {
		lines = append(lines, strings.Join(append([]string{c.How, c.Bucket, c.Key}, c.What...), " "))
	}
	if want := []string{"changed books  policy", "changed books k1 tags", "made books open", "made many "}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
	if !maps.Equal(d.Others, map[string]uint64{"objects_deleted": 1}) { // its keys had nothing, and have markers
		t.Errorf("others: %v", d.Others)
	}
}

// prove makes proofs of events in the ledger's files and behind them, and spoils them.
func (r *recorded) prove(t *testing.T, n *audit.Node) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, seq := range []uint64{0, 20, n.Archived() - 1, n.Archived(), r.large, n.Size() - 1} {
		b, err := n.Prove(seq)
		if err != nil {
			t.Fatal(err)
		}
		p, err := audit.Check(b, n.Key)
		if err != nil || p.Seq != seq || uint64(p.Size) <= seq {
			t.Fatalf("event %d: %+v, %v", seq, p, err)
		}
		want, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			spoiled := bytes.Clone(b)
			spoiled[random.IntN(len(b))] ^= 1 << random.IntN(8)
			p, err := audit.Check(spoiled, n.Key)
			if err != nil {
				continue
			}
			// Base64 has bits that mean nothing, and so have the ends of lines.
			if got, err := json.Marshal(p); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("a spoiled proof proves %s, it was %s", got, want)
			}
		}
		if _, err := audit.Check(b, strings.Replace(n.Key, "ironman/", "ironman/0", 1)); err == nil {
			t.Error("a proof is good for the key of another ledger")
		}
	}
	sizes := []uint64{1, 7, n.Archived(), n.Archived() + 1, n.Size()}
	for i, from := range sizes {
		for _, to := range sizes[i:] {
			old, grown, _, err := n.Consistent(from, to)
			if err != nil || uint64(old.N) != from || uint64(grown.N) != to {
				t.Errorf("from %d to %d: %v", from, to, err)
			}
		}
	}
	if _, _, _, err := n.Consistent(5, n.Size()+1); err == nil {
		t.Error("a ledger is consistent with one that is longer than it is")
	}
}

// TestAuditAfterCrash: a node that was killed has an older state than its ledger and log. What
// the ledger has is told in full, what is only in the log is counted.
func TestAuditAfterCrash(t *testing.T) {
	t.Parallel()
	r := record(t)
	n, err := audit.Open(audit.Options{FS: r.crashed, Dir: auditDir})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, n)
	if n.Size() != r.status.Archived || n.Size() == 0 || n.Behind() != r.status.Events-n.Size() {
		t.Errorf("%d events, and %d behind; the node had archived %d of %d", n.Size(), n.Behind(), r.status.Archived, r.status.Events)
	}
	if v, err := n.Verify(t.Context(), nil); err != nil || v.Signed != n.Size() {
		t.Errorf("%+v, %v", v, err)
	}
	count := 0
	err = n.Log(t.Context(), audit.Filter{Actor: "root", Bucket: "books"}, func(*audit.Entry) error { count++; return nil })
	if err != nil || count == 0 {
		t.Errorf("%d entries, %v: names come from the state", count, err)
	}
	if _, err := n.Replay(t.Context(), emptyState(t), n.Size(), nil); err != nil {
		t.Error(err)
	}
}

// TestAuditDamage: what is damaged, replaced or gone is found, and what a replay comes to is
// compared with what is recorded.
func TestAuditDamage(t *testing.T) {
	t.Parallel()
	r := record(t)
	damaged := func(change func(fs vfs.FS)) (*audit.Node, error) {
		t.Helper()
		fs := vfs.NewMem()
		if _, err := vfs.Clone(r.fs, fs, auditDir, auditDir); err != nil {
			t.Fatal(err)
		}
		change(fs)
		return audit.Open(audit.Options{FS: fs, Dir: auditDir})
	}
	flip := func(name string, at int) func(vfs.FS) {
		return func(fs vfs.FS) {
			b := fileBytes(t, fs, name)
			b[(at+len(b))%len(b)] ^= 1
			setBytes(t, fs, name, b)
		}
	}
	for _, name := range []string{"tile/0/000", "tile/entries/000", "payload/000", "checkpoint"} {
		n, err := damaged(flip(auditDir+"/wal/ledger/"+name, -9))
		if err == nil {
			_, err = n.Verify(t.Context(), nil)
			closed(t, n)
		}
		if err == nil {
			t.Errorf("%s is damaged, and verifies", name)
		}
	}
	if n, err := damaged(func(fs vfs.FS) {
		if err := fs.RemoveAll(auditDir + "/wal/log"); err != nil {
			t.Fatal(err)
		}
	}); err == nil {
		t.Error("a node without a log was opened")
		closed(t, n)
	}
	n := r.open(t, false)
	defer closed(t, n)
	if _, err := audit.Open(audit.Options{FS: r.fs, Dir: auditDir, Key: strings.Replace(n.Key, "+A", "+B", 1)}); err == nil {
		t.Error("a ledger was opened by another key than its own")
	}
	p := audit.NewReplayer(emptyState(t))
	const spoiled = 100
	for rec, err := range n.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Seq == spoiled {
			var e event.Envelope
			if err := event.Decode(rec.Envelope, &e); err != nil {
				t.Fatal(err)
			}
			e.StateDigest[0] ^= 1
			rec.Envelope = event.Canonical(&e)
		}
		if err := p.Add(rec); err != nil {
			var m *audit.Mismatch
			if !errors.As(err, &m) || m.Seq != spoiled {
				t.Errorf("%v, want a mismatch of event %d", err, spoiled)
			}
			return
		}
	}
	t.Error("a replay compares no states")
}

// TestAuditExport: what is exported verifies, tells no names without payloads, and any
// change of any file is found: 1,000 of them, or IRONMAN_MUTATIONS.
func TestAuditExport(t *testing.T) {
	t.Parallel()
	r := record(t)
	n := r.open(t, true)
	out := vfs.NewMem()
	export := func(n *audit.Node, dir string, payloads bool) *audit.Exported {
		t.Helper()
		if err := n.Export(t.Context(), out, dir, 0, payloads); err != nil {
			t.Fatal(err)
		}
		x, err := audit.VerifyExport(t.Context(), out, dir, n.Key, nil)
		if err != nil || x.Origin != n.Origin {
			t.Fatalf("%s: %+v, %v", dir, x, err)
		}
		return x
	}
	if x := export(n, "/whole", true); uint64(x.Tree.N) != n.Size() {
		t.Errorf("%d events, want %d", x.Tree.N, n.Size())
	}
	export(n, "/bare", false)
	closed(t, n)
	unsigned := r.open(t, false)
	if x := export(unsigned, "/signed", true); uint64(x.Tree.N) != n.Archived() {
		t.Errorf("without a signer: %d events, want %d", x.Tree.N, n.Archived())
	}
	closed(t, unsigned)
	if x, err := audit.VerifyExport(t.Context(), out, "/whole", "", nil); err != nil || x.Key != n.Key {
		t.Errorf("by the key that it names: %+v, %v", x, err)
	}
	if b := allBytes(t, out, "/bare"); strings.Contains(b, "canary-word") || strings.Contains(b, "k89") {
		t.Error("an export without payloads tells names")
	}
	read, err := audit.OpenExport(out, "/whole", n.Key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read.Replay(t.Context(), emptyState(t), read.Size(), nil); err != nil || got.Events != n.Size() {
		t.Errorf("a replay of an export: %+v, %v", got, err)
	}
	if _, err := read.Record(read.Size()); err == nil {
		t.Error("there is an event behind the last")
	}
	at := read.Size() - 1
	if rec, err := read.Record(at); err != nil || rec.Seq != at {
		t.Errorf("%d, %v; want event %d", rec.Seq, err, at)
	}
	if _, err := audit.OpenExport(out, "/bare", ""); err == nil {
		t.Error("the key of an export without payloads is known")
	}
	random := rand.New(rand.NewPCG(5, 6))
	mutations := 1000
	if v := os.Getenv("IRONMAN_MUTATIONS"); v != "" {
		if mutations, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	for i := range mutations {
		what, seq := mutate(t, random, out, "/whole", n.Key)
		if seq == nil {
			t.Fatalf("mutation %d is not found: %s", i, what)
		}
		if seq.Seq > n.Size() {
			t.Errorf("mutation %d names event %d: %s", i, seq.Seq, what)
		}
	}
}

// mutate changes a copy of an export and verifies it: what was done, and what was found.
func mutate(t *testing.T, random *rand.Rand, base vfs.FS, dir, key string) (what string, found *ledger.Damage) {
	t.Helper()
	fs := vfs.NewMem()
	if _, err := vfs.Clone(base, fs, dir, dir); err != nil {
		t.Fatal(err)
	}
	var names []string
	walk(t, fs, dir, func(name string) { names = append(names, name) })
	slices.Sort(names)
	name := names[random.IntN(len(names))]
	b := fileBytes(t, fs, name)
	switch random.IntN(5) {
	case 0:
		i := random.IntN(len(b))
		what = fmt.Sprintf("byte %d of %s flipped", i, name)
		b[i] ^= 1 << random.IntN(8)
	case 1:
		what = "the end of " + name + " cut off"
		b = b[:random.IntN(len(b))]
	case 2:
		what = name + " lengthened"
		b = append(b, byte(random.IntN(256)))
	case 3:
		what = name + " removed"
		if err := fs.Remove(name); err != nil {
			t.Fatal(err)
		}
		b = nil
	case 4:
		other := names[random.IntN(len(names))]
		what = "in the place of " + name + " is " + other
		more := fileBytes(t, fs, other)
		if bytes.Equal(more, b) {
			more = append(more, 0)
		}
		b = more
	}
	if b != nil {
		setBytes(t, fs, name, b)
	}
	_, err := audit.VerifyExport(context.Background(), fs, dir, key, nil)
	if !errors.As(err, &found) && err != nil {
		t.Errorf("%s: %v names no event", what, err)
		found = &ledger.Damage{}
	}
	return what, found
}

func walk(t *testing.T, fs vfs.FS, dir string, f func(name string)) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			walk(t, fs, path, f)
		} else {
			f(path)
		}
	}
}

func fileBytes(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func setBytes(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	w, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// allBytes is everything below a directory.
func allBytes(t *testing.T, fs vfs.FS, dir string) string {
	t.Helper()
	var b strings.Builder
	walk(t, fs, dir, func(name string) { fmt.Fprintf(&b, "%s %s\n", name, fileBytes(t, fs, name)) })
	return b.String()
}
