package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"ironman/wal/event"
	"ironman/wal/merkle"
)

// frontier is that of the first size test records.
func frontier(size uint64) *merkle.Frontier {
	f := merkle.New()
	for _, r := range records(0, size) {
		f.Append(r.Envelope)
	}
	return f
}

func extract(t testing.TB, a *Archive, from, size uint64, budget int) *Extract {
	t.Helper()
	x, err := a.Extract(from, size, budget)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// carried is an extract after its journey.
func carried(t testing.TB, x *Extract) *Extract {
	t.Helper()
	back, err := DecodeExtract(x.From, x.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// Extracts of any place and budget carry the records and join any prefix to any tree.
func TestExtract(t *testing.T) {
	all := records(0, 1536)
	_, a := filled(t, 1536)
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Uint64Range(1, 6).Draw(rt, "bundles") * BundleSize
		from := rapid.Uint64Range(0, size-1).Draw(rt, "from")
		budget := rapid.IntRange(0, 200<<10).Draw(rt, "budget")
		x := carried(t, extract(t, a, from, size, budget))
		root, err := a.Root(size)
		if err != nil {
			rt.Fatal(err)
		}
		first := from / BundleSize * BundleSize
		after, err := x.Check(frontier(first), tlog.Tree{N: int64(size), Hash: root})
		if err != nil {
			rt.Fatal(err)
		}
		if *after != *frontier(first + BundleSize) {
			rt.Fatal("the frontier behind the bundle is wrong")
		}
		encoded := len(x.Encode())
		if len(x.Records) > 1 && encoded > budget {
			rt.Fatalf("%d bytes, the budget is %d", encoded, budget)
		}
		end := from + uint64(len(x.Records))
		if end < first+BundleSize && encoded+all[end].Bytes() <= budget {
			rt.Fatalf("it ends at %d though there is room", end)
		}
		for i := range x.Records {
			equalRecords(t, x.Records[i], all[from+uint64(i)])
		}
	})
}

func TestExtractRefuses(t *testing.T) {
	fsys, a := filled(t, 768)
	for _, c := range []struct{ from, size uint64 }{{0, 1024}, {768, 768}, {900, 768}, {0, 700}, {0, 0}} {
		if _, err := a.Extract(c.from, c.size, 1<<20); !errors.Is(err, ErrNotArchived) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	// Damage is not sent.
	damage := func(name string, at int) {
		b := get(t, fsys, "ledger/"+name)
		good := bytes.Clone(b)
		b[at] ^= 1
		put(t, fsys, "ledger/"+name, b)
		if _, err := a.Extract(256, 768, 1<<20); err == nil {
			t.Errorf("%s is damaged, and an extract was made", name)
		}
		put(t, fsys, "ledger/"+name, good)
	}
	damage(TilePath(0, 1, 256), 40)
	damage(EntriesPath(1, 256), 80)
	damage(PayloadPath(1, 256), 300)
	extract(t, a, 256, 768, 1<<20)
}

// Check names the first bad record, and believes nothing that the tree does not say.
func TestExtractCheck(t *testing.T) {
	_, a := filled(t, 1024)
	tree := a.Tree()
	const from = 300
	for _, c := range []struct {
		name   string
		change func(x *Extract)
		seq    uint64
	}{
		{"envelope", func(x *Extract) { x.Records[7].Envelope[20] ^= 1 }, 307},
		{"state digest in the envelope", func(x *Extract) { e := x.Records[7].Envelope; e[len(e)-1] ^= 1 }, 307},
		{"statement", func(x *Extract) { x.Records[8].Statement[3] ^= 1 }, 308},
		{"item", func(x *Extract) { x.Records[9].Items[0].Bytes[2] ^= 1 }, 309},
		{"item as erased", func(x *Extract) { x.Records[9].Items[0] = Item{Erased: true} }, 309},
		{"item missing", func(x *Extract) { x.Records[11].Items = x.Records[11].Items[:2] }, 311},
		{"outcome", func(x *Extract) { x.Records[10].Outcome[1] ^= 1 }, 310},
		{"outcome by hash", func(x *Extract) { x.Records[11].Outcome[1] ^= 1 }, 311},
		{"swapped", func(x *Extract) {
			a, b := &x.Records[3], &x.Records[4]
			a.Envelope, a.Payload, b.Envelope, b.Payload = b.Envelope, b.Payload, a.Envelope, a.Payload
		}, 303},
		{"one left out", func(x *Extract) {
			for i := 5; i < len(x.Records)-1; i++ {
				x.Records[i].Envelope, x.Records[i].Payload = x.Records[i+1].Envelope, x.Records[i+1].Payload
			}
		}, 305},
		{"forged, with the leaf", func(x *Extract) {
			r := record(9, 306)
			x.Records[6], x.Leaves[306-256] = r, tlog.RecordHash(r.Envelope)
		}, 256},
		{"leaf", func(x *Extract) { x.Leaves[200][0] ^= 1 }, 256},
		{"proof", func(x *Extract) { x.Proof[0][0] ^= 1 }, 256},
		{"proof cut", func(x *Extract) { x.Proof = x.Proof[1:] }, 256},
		{"proof longer", func(x *Extract) { x.Proof = append(x.Proof, x.Proof[0]) }, 256},
		{"no proof", func(x *Extract) { x.Proof = nil }, 256},
	} {
		x := extract(t, a, from, 1024, 1<<20)
		c.change(x)
		var d *Damage
		if _, err := carried(t, x).Check(frontier(256), tree); !errors.As(err, &d) || d.Seq != c.seq {
			t.Errorf("%s: %v, want sequence %d", c.name, err, c.seq)
		}
	}
	// What is asked wrongly is not the sender's fault.
	x := extract(t, a, from, 1024, 1<<20)
	var d *Damage
	for name, f := range map[string]func() error{
		"another place":  func() error { _, err := x.Check(frontier(0), tree); return err },
		"a smaller tree": func() error { _, err := x.Check(frontier(256), tlog.Tree{N: 256}); return err },
		"no tree":        func() error { _, err := x.Check(frontier(256), tlog.Tree{N: -1}); return err },
	} {
		if err := f(); err == nil || errors.As(err, &d) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A prefix that is not the tree's, and another tree.
	other := merkle.New()
	for seq := range uint64(256) {
		other.Append(record(9, seq).Envelope)
	}
	if _, err := x.Check(other, tree); !errors.As(err, &d) {
		t.Errorf("another past: %v", err)
	}
	if _, err := x.Check(frontier(256), tlog.Tree{N: 1024, Hash: tlog.RecordHash(nil)}); !errors.As(err, &d) {
		t.Errorf("another tree: %v", err)
	}
}

// A record of the tree that this release cannot read is not the sender's fault.
func TestExtractOfNewerRelease(t *testing.T) {
	rs := records(0, BundleSize)
	rs[9].Envelope = append(bytes.Clone(rs[9].Envelope), 0xfa, 0x07, 1, 7)
	f := merkle.New()
	x := &Extract{Records: rs}
	for i := range rs {
		x.Leaves[i] = tlog.RecordHash(rs[i].Envelope)
		f.AppendHash(x.Leaves[i])
	}
	var d *Damage
	_, err := x.Check(merkle.New(), tlog.Tree{N: BundleSize, Hash: f.Root()})
	if !errors.Is(err, event.ErrNewer) || errors.As(err, &d) {
		t.Fatalf("got %v", err)
	}
}

// Erased items travel as their hashes, and make the files that the sender has.
func TestExtractErased(t *testing.T) {
	fsys, a := filled(t, 512)
	if err := a.Erase([]Target{{Seq: 3}, {Seq: 302, Items: []int{1}}, {Seq: 511}}); err != nil {
		t.Fatal(err)
	}
	other := vfs.NewMem()
	b := open(t, options(t, other))
	for b.Size() < 512 {
		x := carried(t, extract(t, a, b.Size(), 512, 1<<20))
		if _, err := x.Check(b.Frontier(), a.Tree()); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, b, x.Records)
	}
	same(t, tree(t, other, "ledger"), tree(t, fsys, "ledger"))
	p, err := b.Payload(302)
	if err != nil || p.Items[0].Erased || !p.Items[1].Erased || p.Items[1].Bytes != nil {
		t.Fatalf("%+v, %v", p, err)
	}
}

// An item that was erased between a crash and its second append does not outlive
// it, and one that was erased before stays so.
func TestErasedBetweenAppends(t *testing.T) {
	fsys, a := filled(t, 768)
	// A crash took the checkpoint back, but not the bundles.
	first, _ := filled(t, 512)
	put(t, fsys, "ledger/"+CheckpointPath, get(t, first, "ledger/"+CheckpointPath))
	erase := func(rs []Record, seq uint64) {
		r := &rs[seq-512]
		r.Items = slices.Clone(r.Items)
		r.Items[0] = Item{Erased: true, Hash: r.Items[0].Sum()}
	}
	if err := a.Erase([]Target{{Seq: 603, Items: []int{0}}}); err != nil {
		t.Fatal(err)
	}
	b := open(t, options(t, fsys))
	if b.Size() != 512 {
		t.Fatalf("size %d", b.Size())
	}
	rs := records(512, 768)
	erase(rs, 601)
	mustAppend(t, b, rs)
	for seq, want := range map[uint64]bool{601: true, 602: false, 603: true} {
		if p, err := b.Payload(seq); err != nil || p.Items[0].Erased != want {
			t.Errorf("sequence %d: erased %v, %v", seq, p.Items[0].Erased, err)
		}
	}
}

func TestExtractGolden(t *testing.T) {
	_, a := filled(t, 512)
	x := extract(t, a, 254, 512, 1<<20)
	b := x.Encode()
	var out strings.Builder
	fmt.Fprintf(&out, "%d bytes\n", len(b))
	for len(b) > 0 {
		n := min(32, len(b))
		fmt.Fprintf(&out, "%x\n", b[:n])
		b = b[n:]
	}
	golden(t, "extract.golden", out.String())
}

func TestExtractFormatRefuses(t *testing.T) {
	_, a := filled(t, 512)
	good := extract(t, a, 254, 512, 1<<20).Encode()
	edit := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(good)) }
	at := 2 + (int(good[1])+BundleSize)*32 // where the number of records stands
	for _, c := range []struct {
		name string
		from uint64
		b    []byte
		want error
	}{
		{"nothing", 254, nil, event.ErrMalformed},
		{"version 0", 254, edit(func(b []byte) []byte { b[0] = 0; return b }), event.ErrMalformed},
		{"the next version", 254, edit(func(b []byte) []byte { b[0] = 2; return b }), event.ErrNewer},
		{"the next version, another length", 254, []byte{2}, event.ErrNewer},
		{"version alone", 254, []byte{1}, event.ErrMalformed},
		{"proof of 65 hashes", 254, edit(func(b []byte) []byte { b[1] = 65; return b }), event.ErrMalformed},
		{"cut in the hashes", 254, good[:at], event.ErrMalformed},
		{"no records", 254, edit(func(b []byte) []byte { b[at+1] = 0; return b[:at+2] }), event.ErrMalformed},
		{"more records than the bundle has left", 255, good, event.ErrMalformed},
		{"a record too few", 254, edit(func(b []byte) []byte { b[at+1] = 1; return b }), event.ErrMalformed},
		{"a record too many", 253, edit(func(b []byte) []byte { b[at+1] = 3; return b }), event.ErrMalformed},
		{"cut", 254, good[:len(good)-1], event.ErrMalformed},
		{"a byte more", 254, append(bytes.Clone(good), 0), event.ErrMalformed},
		{"too large", 254, append(bytes.Clone(good), make([]byte, MaxExtractBytes)...), event.ErrMalformed},
	} {
		if _, err := DecodeExtract(c.from, c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// The longest record that the archive takes fits an extract.
func TestExtractOfLargest(t *testing.T) {
	r := Record{Envelope: make([]byte, MaxEnvelopeBytes)}
	r.Outcome = make([]byte, MaxOutcomeBytes)
	for range event.MaxItems - 1 {
		r.Items = append(r.Items, Item{Erased: true})
	}
	r.Items = append(r.Items, Item{Bytes: make([]byte, MaxProposalBytes)})
	x := &Extract{Proof: make(tlog.TreeProof, maxExtractProof), Records: []Record{r}}
	b := x.Encode()
	if len(b) > MaxExtractBytes {
		t.Fatalf("%d bytes, the limit is %d", len(b), MaxExtractBytes)
	}
	if _, err := DecodeExtract(0, b); err != nil {
		t.Fatal(err)
	}
}

// Skipping payloads is reading past them.
func TestSkip(t *testing.T) {
	c := testCodec(t)
	var ps []Payload
	for i := range 40 { // blocks of several entries, of one, and of one that is large
		ps = append(ps, Payload{Statement: bytes.Repeat([]byte{byte(i)}, i%7*50<<10), Outcome: []byte{byte(i)}})
	}
	b := encodePayloads(t, c, 0, ps)
	for n := range len(ps) + 1 {
		r, err := newPayloadReader(bytes.NewReader(b), int64(len(b)), c, 0, len(ps))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.skip(n / 3); err != nil {
			t.Fatal(err)
		}
		if err := r.skip(n - n/3); err != nil {
			t.Fatal(err)
		}
		if n == len(ps) {
			if err := r.skip(1); !errors.Is(err, event.ErrMalformed) {
				t.Fatalf("skipped past the end: %v", err)
			}
			break
		}
		p, err := r.read()
		if err != nil || !bytes.Equal(p.Outcome, []byte{byte(n)}) {
			t.Fatalf("after %d: %v, %v", n, p.Outcome, err)
		}
	}
	short, err := newPayloadReader(bytes.NewReader(b[:len(b)-1]), int64(len(b)-1), c, 0, len(ps))
	if err != nil {
		t.Fatal(err)
	}
	if err := short.skip(len(ps)); !errors.Is(err, event.ErrMalformed) {
		t.Fatalf("a cut bundle: %v", err)
	}
}

func FuzzExtract(f *testing.F) {
	_, a := filled(f, 512)
	x := extract(f, a, 254, 512, 1<<20)
	f.Add(uint64(254), x.Encode())
	x.Records[1].Items = []Item{{Erased: true}}
	f.Add(uint64(254), x.Encode())
	f.Add(uint64(0), extract(f, a, 500, 512, 0).Encode())
	f.Add(uint64(0), []byte{1, 255})
	before, tr := a.Frontier(), a.Tree()
	f.Fuzz(func(t *testing.T, from uint64, b []byte) {
		x, err := DecodeExtract(from, b)
		if err != nil {
			return
		}
		if !bytes.Equal(x.Encode(), b) {
			t.Fatal("not what was decoded")
		}
		if _, err := x.Check(before, tr); err == nil {
			t.Fatal("an extract behind the tree was believed")
		}
		if after, err := x.Check(frontier(0), tr); err == nil && after.Size() != BundleSize {
			t.Fatal("a wrong frontier")
		}
	})
}
