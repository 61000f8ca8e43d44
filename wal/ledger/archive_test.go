package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"ironman/wal/event"
)

// model is the whole log in memory as tlog keeps it.
type model []tlog.Hash

func newModel(t testing.TB, records []Record) *model {
	t.Helper()
	m := &model{}
	for i := range records {
		hashes, err := tlog.StoredHashes(int64(i), records[i].Envelope, m)
		if err != nil {
			t.Fatal(err)
		}
		*m = append(*m, hashes...)
	}
	return m
}

func (m *model) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = (*m)[x]
	}
	return out, nil
}

func (m *model) root(t testing.TB, size uint64) tlog.Hash {
	t.Helper()
	h, err := tlog.TreeHash(int64(size), m)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func equalRecords(t testing.TB, got, want Record) {
	t.Helper()
	if got.Seq != want.Seq || !bytes.Equal(got.Envelope, want.Envelope) {
		t.Fatalf("sequence %d: envelope differs", want.Seq)
	}
	if what := got.Payload.differs(&want.Payload); what != "" {
		t.Fatalf("sequence %d: %s differs", want.Seq, what)
	}
}

// Any way of cutting records into appends, with reopening between them and with
// sequences appended again, archives the same; every proof is tlog's.
func TestAppendAgainstModel(t *testing.T) {
	all := records(0, 2000)
	m := newModel(t, all)
	rapid.Check(t, func(rt *rapid.T) {
		fsys := vfs.NewMem()
		a := open(t, options(t, fsys))
		for range rapid.IntRange(1, 8).Draw(rt, "appends") {
			from := rapid.Uint64Range(a.Size()-min(a.Size(), 300), a.Size()).Draw(rt, "from")
			to := rapid.Uint64Range(from, min(from+900, 2000)).Draw(rt, "to")
			before := a.Size()
			mustAppend(t, a, all[from:to])
			if want := max(before, to/BundleSize*BundleSize); a.Size() != want {
				rt.Fatalf("size %d after [%d, %d), want %d", a.Size(), from, to, want)
			}
			if rapid.Bool().Draw(rt, "reopen") {
				a = open(t, options(t, fsys))
			}
		}
		checkAgainstModel(t, rt, a, all, m)
	})
}

func checkAgainstModel(t *testing.T, rt *rapid.T, a *Archive, all []Record, m *model) {
	size := a.Size()
	if c, ok := a.Checkpoint(); ok != (size > 0) || uint64(c.Tree.N) != size {
		rt.Fatalf("checkpoint of %d, size %d", c.Tree.N, size)
	}
	n := rapid.Uint64Range(0, size).Draw(rt, "tree")
	root, err := a.Root(n)
	if err != nil || root != m.root(t, n) {
		rt.Fatalf("root of %d: %v %v", n, root, err)
	}
	if n > 0 {
		seq := rapid.Uint64Range(0, n-1).Draw(rt, "seq")
		proof, err := a.Prove(seq, n)
		if err == nil {
			err = tlog.CheckRecord(proof, int64(n), root, int64(seq), tlog.RecordHash(all[seq].Envelope))
		}
		if err != nil {
			rt.Fatal(err)
		}
		cons, err := a.Consistency(n, size)
		if err == nil {
			err = tlog.CheckTree(cons, int64(size), m.root(t, size), int64(n), root)
		}
		if err != nil {
			rt.Fatal(err)
		}
		env, err := a.Envelope(seq)
		if err != nil {
			rt.Fatal(err)
		}
		p, err := a.Payload(seq)
		if err != nil {
			rt.Fatal(err)
		}
		equalRecords(t, Record{Seq: seq, Envelope: env, Payload: p}, all[seq])
	}
	from := n
	for r, err := range a.Records(n) {
		if err != nil {
			rt.Fatal(err)
		}
		equalRecords(t, r, all[from])
		from++
	}
	if from != size {
		rt.Fatalf("records end at %d of %d", from, size)
	}
	if err := a.Verify(context.Background(), nil); err != nil {
		rt.Fatal(err)
	}
}

func TestBatchingDoesNotShow(t *testing.T) {
	all := records(0, 1536)
	fsys, _ := filled(t, 1536)
	other := vfs.NewMem()
	a := open(t, options(t, other))
	for from := 0; from < len(all); from += 100 {
		mustAppend(t, a, all[a.Size():min(from+100, len(all))])
	}
	same(t, tree(t, other, "ledger"), tree(t, fsys, "ledger"))
}

func TestAppendRefuses(t *testing.T) {
	fsys, a := filled(t, 512)
	was := tree(t, fsys, "ledger")
	edit := func(change func(rs []Record) []Record) []Record {
		return change(slices.Clone(records(512, 768)))
	}
	long := func(r *Record) *Record { r.Envelope = make([]byte, MaxEnvelopeBytes+1); return r }
	for _, c := range []struct {
		name    string
		records []Record
		want    error
	}{
		{"from beyond the size", records(513, 800), ErrGap},
		{"a gap", edit(func(rs []Record) []Record { return slices.Delete(rs, 7, 8) }), ErrGap},
		{"out of order", edit(func(rs []Record) []Record { rs[3], rs[4] = rs[4], rs[3]; return rs }), ErrGap},
		{"envelope of 64 KiB", edit(func(rs []Record) []Record { long(&rs[255]); return rs }), ErrRecord},
		{"envelope of 64 KiB in the tail", []Record{*long(&records(512, 513)[0])}, ErrRecord},
		{"another sequence inside", edit(func(rs []Record) []Record { rs[9].Envelope = rs[8].Envelope; return rs }), ErrRecord},
		{"another statement", edit(func(rs []Record) []Record { rs[9].Statement = rs[8].Statement; return rs }), ErrRecord},
		{"another item", edit(func(rs []Record) []Record { rs[9].Items = rs[8].Items; return rs }), ErrRecord},
		{"another outcome", edit(func(rs []Record) []Record { rs[9].Outcome = rs[8].Outcome; return rs }), ErrRecord},
		{"time stands still", edit(func(rs []Record) []Record {
			rs[9].Envelope = envelope(&rs[9], 512*1000, make([]byte, 32))
			return rs
		}), ErrRecord},
		{"no envelope", edit(func(rs []Record) []Record { rs[9].Envelope = nil; return rs }), ErrRecord},
		{"large statement", edit(func(rs []Record) []Record {
			rs[9].Statement = make([]byte, MaxProposalBytes+1)
			return rs
		}), ErrRecord},
		{"an envelope of a newer release", edit(func(rs []Record) []Record {
			rs[9].Envelope = append(bytes.Clone(rs[9].Envelope), 0xfa, 0x07, 1, 7)
			return rs
		}), event.ErrNewer},
	} {
		if err := a.Append(c.records); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	same(t, tree(t, fsys, "ledger"), was)
	mustAppend(t, a, nil)
	mustAppend(t, a, records(512, 768))
	if a.Size() != 768 {
		t.Fatalf("size %d after refusals", a.Size())
	}
}

// What is archived is compared, and a difference is fatal and final.
func TestAppendCompares(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *Record)
	}{
		{"envelope", func(r *Record) { *r = record(9, r.Seq) }},
		{"statement", func(r *Record) { r.Statement = []byte("x") }},
		{"outcome", func(r *Record) { r.Outcome = nil }},
		{"item", func(r *Record) { r.Items = slices.Clone(r.Items); r.Items[1].Bytes = []byte("x") }},
		{"items", func(r *Record) { r.Items = r.Items[:1] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys, _ := filled(t, 512)
			was := tree(t, fsys, "ledger")
			var fatal error
			o := options(t, fsys)
			o.Fatal = func(err error) { fatal = err }
			a := open(t, o)
			rs := records(200, 1024)
			c.change(&rs[307-200])
			if err := a.Append(rs); !errors.Is(err, errDiffers) || !errors.Is(fatal, errDiffers) || !strings.Contains(fatal.Error(), "sequence 307") {
				t.Fatalf("got %v, fatal %v", err, fatal)
			}
			if err := a.Append(records(512, 768)); !errors.Is(err, errDiffers) {
				t.Fatalf("the archive goes on after a fatal difference: %v", err)
			}
			same(t, tree(t, fsys, "ledger"), was)
		})
	}
}

// A file beyond the size that is not what is appended now is fatal, too.
func TestAppendComparesBeyondSize(t *testing.T) {
	for _, name := range []string{EntriesPath(2, 256), TilePath(0, 2, 256), PayloadPath(2, 256)} {
		for _, garbage := range []bool{false, true} {
			fsys, _ := filled(t, 512)
			other, _ := filled(t, 768)
			alien := get(t, other, "ledger/"+EntriesPath(1, 256))
			if !garbage { // well-formed, of other records
				alien = alienFile(t, name)
			}
			put(t, fsys, "ledger/"+name, alien)
			var fatal error
			o := options(t, fsys)
			o.Fatal = func(err error) { fatal = err }
			if err := open(t, o).Append(records(512, 768)); err == nil || !errors.Is(fatal, errDiffers) {
				t.Fatalf("%s: got %v, fatal %v", name, err, fatal)
			}
			if !bytes.Equal(get(t, fsys, "ledger/"+name), alien) {
				t.Fatalf("%s was rewritten", name)
			}
		}
	}
}

// alienFile is the file of that name in a ledger of other records.
func alienFile(t *testing.T, name string) []byte {
	fsys := vfs.NewMem()
	a := open(t, options(t, fsys))
	var rs []Record
	for seq := range uint64(768) {
		rs = append(rs, record(9, seq))
	}
	mustAppend(t, a, rs)
	return get(t, fsys, "ledger/"+name)
}

func TestOpenRefuses(t *testing.T) {
	signer, _ := testKey(t, 1)
	_, otherKey := testKey(t, 2)
	edit := func(change func(fsys *vfs.MemFS, o *Options)) Options {
		fsys, _ := filled(t, 512)
		o := options(t, fsys)
		change(fsys, &o)
		return o
	}
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"no FS", Options{Dir: "x", Fatal: func(error) {}}, "needed"},
		{"no fatal", edit(func(_ *vfs.MemFS, o *Options) { o.Fatal = nil }), "needed"},
		{"no origin", edit(func(_ *vfs.MemFS, o *Options) { o.Origin = "" }), "origin"},
		{"two-line origin", edit(func(_ *vfs.MemFS, o *Options) { o.Origin = "a\nb" }), "origin"},
		{"no verifiers", edit(func(_ *vfs.MemFS, o *Options) { o.Verifiers = nil }), "verifiers"},
		{"a signer unknown to the verifiers", edit(func(_ *vfs.MemFS, o *Options) { o.Verifiers = note.VerifierList(otherKey) }), signer.Name()},
		{"another origin", edit(func(_ *vfs.MemFS, o *Options) { o.Origin = "other" }), "not of \"other\""},
		{"another key", edit(func(_ *vfs.MemFS, o *Options) { o.Signer, o.Verifiers = nil, note.VerifierList(otherKey) }), ErrSignature.Error()},
		{"no checkpoint in the checkpoint", edit(func(fsys *vfs.MemFS, _ *Options) { put(t, fsys, "ledger/checkpoint", []byte("x")) }), "malformed"},
		{"a tile is gone", edit(func(fsys *vfs.MemFS, _ *Options) { fsys.Remove("ledger/tile/0/001") }), "tile/0/001"},
		{"a tile is changed", edit(func(fsys *vfs.MemFS, _ *Options) { put(t, fsys, "ledger/tile/0/001", make([]byte, 8192)) }), "root"},
		{"a tile is cut", edit(func(fsys *vfs.MemFS, _ *Options) { put(t, fsys, "ledger/tile/0/001", make([]byte, 8191)) }), "8191"},
		{"an unsigned head that the tiles do not bear out", edit(func(fsys *vfs.MemFS, _ *Options) {
			put(t, fsys, "ledger/head", encodeHead(tlog.Tree{N: 256}))
		}), "root"},
		{"an export", edit(func(fsys *vfs.MemFS, o *Options) { put(t, fsys, "ledger/head", encodeHead(tlog.Tree{N: 700})) }), "export"},
	} {
		if _, err := Open(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// Without a signer the size stands in the head; a signer that comes later signs
// what is there, and one that goes leaves its checkpoint behind.
func TestSignerComesAndGoes(t *testing.T) {
	fsys := vfs.NewMem()
	signed := options(t, fsys)
	unsigned := signed
	unsigned.Signer = nil
	all := records(0, 1536)
	sizes := func(a *Archive) string { c, _ := a.Checkpoint(); return fmt.Sprint(a.Size(), " ", c.Tree.N) }
	for i, step := range []struct {
		o    Options
		upTo int
		want string
	}{
		{unsigned, 300, "256 0"}, {unsigned, 600, "512 0"}, {signed, 600, "512 512"},
		{signed, 1000, "768 768"}, {unsigned, 1100, "1024 768"}, {unsigned, 1300, "1280 768"}, {signed, 1536, "1536 1536"},
	} {
		a := open(t, step.o)
		mustAppend(t, a, all[a.Size():step.upTo])
		if got := sizes(a); got != step.want {
			t.Fatalf("step %d: %s, want %s", i, got, step.want)
		}
		if got := sizes(open(t, step.o)); got != step.want {
			t.Fatalf("step %d, reopened: %s, want %s", i, got, step.want)
		}
		if err := a.Verify(context.Background(), nil); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

func TestReadOnlyAndClosed(t *testing.T) {
	fsys, a := filled(t, 512)
	was := tree(t, fsys, "ledger")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(records(512, 768)); !errors.Is(err, ErrClosed) {
		t.Fatalf("append after close: %v", err)
	}
	o := options(t, fsys)
	o.ReadOnly, o.Fatal = true, nil
	r := open(t, o)
	if err := r.Append(records(512, 768)); !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
	if err := r.Erase([]Target{{Seq: 1}}); !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
	if err := r.Verify(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	o.Dir = "nowhere"
	if r := open(t, o); r.Size() != 0 {
		t.Fatal("an archive that is not there has a size")
	}
	if _, err := fsys.Stat("nowhere"); err == nil {
		t.Fatal("opening for reading made a directory")
	}
	same(t, tree(t, fsys, "ledger"), was)
}

func TestReadBeyondSize(t *testing.T) {
	_, a := filled(t, 300)
	for name, f := range map[string]func() error{
		"Envelope":             func() error { _, err := a.Envelope(256); return err },
		"Payload":              func() error { _, err := a.Payload(256); return err },
		"Root":                 func() error { _, err := a.Root(257); return err },
		"Prove":                func() error { _, err := a.Prove(3, 257); return err },
		"Prove itself":         func() error { _, err := a.Prove(100, 100); return err },
		"Consistency":          func() error { _, err := a.Consistency(1, 257); return err },
		"Consistency reversed": func() error { _, err := a.Consistency(20, 10); return err },
		"Erase":                func() error { return a.Erase([]Target{{Seq: 1}, {Seq: 256}}) },
	} {
		if err := f(); !errors.Is(err, ErrNotArchived) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := a.Consistency(0, 10); err == nil {
		t.Error("a proof from the empty tree")
	}
	for range a.Records(256) {
		t.Error("records beyond the size")
	}
}
