package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"ironman/wal/event"
)

// forger is an attacker who can write everything but cannot sign.
type forger struct {
	t    testing.TB
	fsys *vfs.MemFS
}

func (f forger) get(name string) []byte        { return get(f.t, f.fsys, "ledger/"+name) }
func (f forger) put(name string, data []byte)  { put(f.t, f.fsys, "ledger/"+name, data) }
func (f forger) flip(name string, at int)      { b := f.get(name); b[at] ^= 0x10; f.put(name, b) }
func (f forger) cut(name string, to int)       { f.put(name, f.get(name)[:to]) }
func (f forger) swap(a, b string)              { x, y := f.get(a), f.get(b); f.put(a, y); f.put(b, x) }
func (f forger) remove(name string)            { f.fsys.Remove("ledger/" + name) }
func (f forger) append(name string, more byte) { f.put(name, append(f.get(name), more)) }

// entries rewrites a bundle of envelopes.
func (f forger) entries(n uint64, change func(es [][]byte) [][]byte) {
	name := EntriesPath(n, BundleSize)
	es, err := splitEntries(f.get(name), BundleSize)
	if err != nil {
		f.t.Fatal(err)
	}
	var b []byte
	for _, e := range change(es) {
		b = appendEntry(b, e)
	}
	f.put(name, b)
}

// offset is where the entry of a sequence begins in its bundle, its length included.
func (f forger) offset(seq uint64) int {
	n, i := bundleOf(seq)
	es, err := splitEntries(f.get(EntriesPath(n, BundleSize)), BundleSize)
	if err != nil {
		f.t.Fatal(err)
	}
	at := 0
	for _, e := range es[:i] {
		at += 2 + len(e)
	}
	return at
}

// payload rewrites one payload, well-formed.
func (f forger) payload(seq uint64, change func(p *Payload)) {
	n, i := bundleOf(seq)
	c := testCodec(f.t)
	ps, err := decodePayloads(c, f.get(PayloadPath(n, BundleSize)), n*BundleSize, BundleSize)
	if err != nil {
		f.t.Fatal(err)
	}
	change(&ps[i])
	f.put(PayloadPath(n, BundleSize), encodePayloads(f.t, c, n*BundleSize, ps))
}

// rewrite replaces all of history by another one, signed by another key.
func (f forger) rewrite(salt byte, size uint64) {
	signer, verifier := testKey(f.t, 66)
	o := options(f.t, f.fsys)
	o.Signer, o.Verifiers = signer, note.VerifierList(verifier)
	if err := f.fsys.RemoveAll("ledger"); err != nil {
		f.t.Fatal(err)
	}
	rs := records(0, size)
	for i := range rs {
		rs[i] = record(salt, uint64(i))
	}
	mustAppend(f.t, open(f.t, o), rs)
}

// tampering is one thing that an attacker may do, and the sequence it shows at.
type tampering struct {
	name   string
	seq    uint64
	tamper func(f forger)
}

func full(level int, n uint64) string { return TilePath(level, n, BundleSize) }
func ents(n uint64) string            { return EntriesPath(n, BundleSize) }
func pays(n uint64) string            { return PayloadPath(n, BundleSize) }

// entryTamperings are edits of entries and tiles.
func entryTamperings() []tampering {
	return []tampering{
		{"an envelope is edited", 300, func(f forger) { f.flip(ents(1), f.offset(300)+30) }},
		{"the first envelope is edited", 0, func(f forger) { f.flip(ents(0), 20) }},
		{"the last envelope is edited", 1023, func(f forger) { f.flip(ents(3), f.offset(1023)+20) }},
		{"a length is edited", 300, func(f forger) { f.flip(ents(1), f.offset(300)+1) }},
		{"an envelope is deleted", 300, func(f forger) {
			f.entries(1, func(es [][]byte) [][]byte { return slices.Delete(es, 300-256, 301-256) })
		}},
		{"an envelope is doubled", 301, func(f forger) {
			f.entries(1, func(es [][]byte) [][]byte { return slices.Insert(es, 300-256, es[300-256]) })
		}},
		{"two envelopes are exchanged", 300, func(f forger) {
			f.entries(1, func(es [][]byte) [][]byte { es[44], es[99] = es[99], es[44]; return es })
		}},
		{"a bundle is cut in an envelope", 300, func(f forger) { f.cut(ents(1), f.offset(300)+9) }},
		{"a bundle is cut between envelopes", 300, func(f forger) { f.cut(ents(1), f.offset(300)) }},
		{"a bundle goes on", 511, func(f forger) { f.append(ents(1), 0) }},
		{"a bundle is gone", 512, func(f forger) { f.remove(ents(2)) }},
		{"a bundle is empty", 512, func(f forger) { f.put(ents(2), nil) }},
		{"two bundles are exchanged", 256, func(f forger) { f.swap(ents(1), ents(3)) }},
		{"a hash in a tile is edited", 300, func(f forger) { f.flip(full(0, 1), (300-256)*32+5) }},
		{"two tiles are exchanged", 512, func(f forger) { f.swap(full(0, 2), full(0, 3)) }},
		{"a tile is gone", 256, func(f forger) { f.remove(full(0, 1)) }},
		{"a tile is cut", 256, func(f forger) { f.cut(full(0, 1), 8191) }},
		{"a tile goes on", 256, func(f forger) { f.append(full(0, 1), 0) }},
		{"bundles are exchanged with their tiles and payloads", 256, func(f forger) {
			f.swap(ents(1), ents(2))
			f.swap(full(0, 1), full(0, 2))
			f.swap(pays(1), pays(2))
		}},
		{"an envelope is edited with its tile", 300, func(f forger) { // and out of its payload's reach
			f.entries(1, func(es [][]byte) [][]byte { es[44] = bytes.Clone(es[43]); return es })
			b := f.get(full(0, 1))
			copy(b[44*32:45*32], b[43*32:44*32])
			f.put(full(0, 1), b)
		}},
		{"two kinds of damage", 300, func(f forger) { f.flip(full(0, 3), 5); f.flip(ents(1), f.offset(300)+30) }},
	}
}

// payloadTamperings are edits of payloads.
func payloadTamperings() []tampering {
	return []tampering{
		{"a statement is edited", 301, func(f forger) { f.payload(301, func(p *Payload) { p.Statement[3]++ }) }},
		{"an item is edited", 303, func(f forger) { f.payload(303, func(p *Payload) { p.Items[1].Bytes[20]++ }) }},
		{"an item is dropped", 303, func(f forger) { f.payload(303, func(p *Payload) { p.Items = p.Items[:2] }) }},
		{"items are exchanged", 303, func(f forger) {
			f.payload(303, func(p *Payload) { p.Items[0], p.Items[1] = p.Items[1], p.Items[0] })
		}},
		{"an erased item's hash is another", 303, func(f forger) {
			f.payload(303, func(p *Payload) { p.Items[1] = Item{Erased: true, Hash: p.Items[0].Sum()} })
		}},
		{"an outcome is edited", 303, func(f forger) { f.payload(303, func(p *Payload) { p.Outcome[4]++ }) }},
		{"a long outcome is edited", 311, func(f forger) { f.payload(311, func(p *Payload) { p.Outcome[40]++ }) }},
		{"a payload bundle is gone", 256, func(f forger) { f.remove(pays(1)) }},
		{"two payload bundles are exchanged", 256, func(f forger) { f.swap(pays(1), pays(2)) }},
		{"a payload bundle rots", 256, func(f forger) { f.flip(pays(1), 500) }},
		{"a payload bundle is cut", 256, func(f forger) { f.cut(pays(1), len(f.get(pays(1)))-1) }},
		{"a payload bundle goes on", 511, func(f forger) { f.append(pays(1), 0) }},
	}
}

// headTamperings are edits of checkpoints and whole histories.
func headTamperings() []tampering {
	return []tampering{
		{"a checkpoint of another tree", 1024, func(f forger) { // the archive knows better
			f.flip(CheckpointPath, bytes.IndexByte(f.get(CheckpointPath), '\n')+8)
		}},
		{"a checkpoint without a valid signature", 1024, func(f forger) {
			b := f.get(CheckpointPath)
			f.flip(CheckpointPath, len(b)-20)
		}},
		{"a checkpoint that is none", 0, func(f forger) { f.put(CheckpointPath, []byte("trust me\n")) }},
		{"no checkpoint", 0, func(f forger) { f.remove(CheckpointPath) }},
		{"a checkpoint of a longer tree", 1024, func(f forger) {
			signer, _ := testKey(f.t, 66)
			msg, err := note.Sign(&note.Note{Text: checkpointText(testOrigin, tlog.Tree{N: 1280})}, signer)
			if err != nil {
				f.t.Fatal(err)
			}
			f.put(CheckpointPath, msg)
		}},
		{"cut off, with the genuine checkpoint of then", 512, func(f forger) {
			then, _ := filled(f.t, 512)
			f.put(CheckpointPath, get(f.t, then, "ledger/checkpoint"))
		}},
		{"another history, signed by another", 0, func(f forger) { f.rewrite(9, 1024) }},
		{"a longer history, signed by another", 1024, func(f forger) { f.rewrite(0, 1280) }},
	}
}

func TestVerifyNamesTheFirstBadSequence(t *testing.T) {
	for _, c := range slices.Concat(entryTamperings(), payloadTamperings(), headTamperings()) {
		t.Run(c.name, func(t *testing.T) {
			fsys, a := filled(t, 1024)
			if err := a.Verify(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
			c.tamper(forger{t, fsys})
			err := a.Verify(context.Background(), nil)
			var d *Damage
			if !errors.As(err, &d) || d.Seq != c.seq {
				t.Fatalf("got %v, want sequence %d", err, c.seq)
			}
			if !strings.Contains(err.Error(), fmt.Sprintf("first bad sequence %d:", c.seq)) {
				t.Fatalf("unclear: %v", err)
			}
		})
	}
}

// Whoever does not run the archive has checkpoints from elsewhere, or none.
func TestVerifyFromOutside(t *testing.T) {
	fsys, a := filled(t, 1024)
	at := func(size uint64) tlog.Tree {
		root, err := a.Root(size)
		if err != nil {
			t.Fatal(err)
		}
		return tlog.Tree{N: int64(size), Hash: root}
	}
	o := options(t, fsys)
	v := VerifyOptions{FS: fsys, Dir: "ledger", Origin: o.Origin, Verifiers: o.Verifiers}
	known := func(ts ...tlog.Tree) func(*VerifyOptions) { return func(v *VerifyOptions) { v.Known = ts } }
	for _, c := range []struct {
		name   string
		change func(v *VerifyOptions)
		bad    int // -1: nothing
	}{
		{"no known heads", func(*VerifyOptions) {}, -1},
		{"known heads", known(at(700), at(1), at(1024), at(256), at(0)), -1},
		{"a known head of another history", known(at(300), tlog.Tree{N: 512, Hash: at(511).Hash}), 300},
		{"a known head of the future", known(at(300), tlog.Tree{N: 1025}), 1024},
		{"another nothing", known(tlog.Tree{N: 0, Hash: at(1).Hash}), 0},
		{"another key", func(v *VerifyOptions) { _, k := testKey(t, 2); v.Verifiers = note.VerifierList(k) }, 0},
		{"another key, and known heads", func(v *VerifyOptions) {
			_, k := testKey(t, 2)
			v.Verifiers = note.VerifierList(k)
			v.Known = []tlog.Tree{at(800)}
		}, 800},
		{"no key", func(v *VerifyOptions) { v.Verifiers = nil }, 0},
		{"another origin", func(v *VerifyOptions) { v.Origin = "other" }, 0},
		{"not an export", func(v *VerifyOptions) { v.Export = true }, 0}, // it has no tile/1/000.p/4
		{"envelopes only", func(v *VerifyOptions) { v.EnvelopesOnly = true }, -1},
	} {
		v := v
		c.change(&v)
		tree, err := Verify(context.Background(), v)
		var d *Damage
		switch {
		case c.bad < 0 && (err != nil || tree.Tree != a.Tree()):
			t.Errorf("%s: %v", c.name, err)
		case c.bad >= 0 && (!errors.As(err, &d) || d.Seq != uint64(c.bad)):
			t.Errorf("%s: got %v, want sequence %d", c.name, err, c.bad)
		}
	}
}

// An unsigned head does not pass where checkpoints are expected.
func TestVerifyWantsSignatures(t *testing.T) {
	fsys := vfs.NewMem()
	o := options(t, fsys)
	o.Signer = nil
	a := open(t, o)
	mustAppend(t, a, records(0, 512))
	if err := a.Verify(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	v := VerifyOptions{FS: fsys, Dir: "ledger", Origin: o.Origin}
	if _, err := Verify(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	v.Verifiers = o.Verifiers
	if _, err := Verify(context.Background(), v); !errors.Is(err, ErrSignature) {
		t.Fatalf("got %v", err)
	}
}

// What nobody could archive: Verify refuses it where Append did not get to.
func TestVerifyRefusesBadLeaves(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(rs []Record)
		newer  bool
	}{
		{"a sequence twice", func(rs []Record) { rs[300].Envelope = envelope(&rs[299], 301*1000, make([]byte, 32)) }, false},
		{"time stands still", func(rs []Record) { rs[300].Envelope = envelope(&rs[300], 300*1000, make([]byte, 32)) }, false},
		{"time goes back", func(rs []Record) { rs[300].Envelope = envelope(&rs[300], 7, make([]byte, 32)) }, false},
		{"no envelope", func(rs []Record) { rs[300].Envelope = []byte("x") }, false},
		{"an outcome twice", func(rs []Record) {
			env := &event.Envelope{}
			if err := event.Decode(rs[300].Envelope, env); err != nil {
				panic(err)
			}
			sum := event.OutcomeHash(rs[300].Outcome)
			env.OutcomeHash = sum[:]
			rs[300].Envelope = event.Canonical(env)
		}, false},
		{"a newer release's envelope", func(rs []Record) { rs[300].Envelope = append(rs[300].Envelope, 0xfa, 0x07, 1, 7) }, true},
	} {
		fsys := vfs.NewMem()
		a := open(t, options(t, fsys))
		rs := records(0, 512)
		c.change(rs)
		s, err := a.write(a.state.Load(), rs, 512*1000) // past the checks of Append
		if err != nil {
			t.Fatal(err)
		}
		a.state.Store(s)
		err = a.Verify(context.Background(), nil)
		var d *Damage
		switch {
		case c.newer && (!errors.Is(err, event.ErrNewer) || errors.As(err, &d)):
			t.Errorf("%s: got %v", c.name, err)
		case !c.newer && (!errors.As(err, &d) || d.Seq != 300):
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

// Any one byte changed anywhere is found, and the sequence named is that of the
// byte: exactly in entries and tiles, by block in payloads.
func TestVerifyFindsAnyByte(t *testing.T) {
	fsys, a := filled(t, 768)
	pristine := tree(t, fsys, "ledger")
	f := forger{t, fsys}
	var offsets []int
	for seq := range uint64(768) {
		offsets = append(offsets, f.offset(seq))
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Uint64Range(0, 2).Draw(rt, "bundle")
		kind := rapid.IntRange(0, 2).Draw(rt, "kind")
		name := []string{EntriesPath(n, BundleSize), TilePath(0, n, BundleSize), PayloadPath(n, BundleSize)}[kind]
		data := []byte(pristine[name])
		at := rapid.IntRange(0, len(data)-1).Draw(rt, "at")
		data[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
		f.put(name, data)
		want := n * BundleSize
		switch kind {
		case 0:
			i, found := slices.BinarySearch(offsets[want:want+BundleSize], at)
			if !found {
				i--
			}
			want += uint64(i)
		case 1:
			want += uint64(at / 32)
		}
		err := a.Verify(context.Background(), nil)
		f.put(name, []byte(pristine[name]))
		var d *Damage
		if kind == 2 && at == 4 && errors.Is(err, event.ErrNewer) {
			return // the version
		}
		if !errors.As(err, &d) || d.Seq != want {
			rt.Fatalf("byte %d of %s: got %v, want sequence %d", at, name, err, want)
		}
	})
}

func TestVerifyProgressAndCancel(t *testing.T) {
	_, a := filled(t, 768)
	var got []string
	ctx, cancel := context.WithCancel(context.Background())
	progress := func(done, total uint64) { got = append(got, fmt.Sprintf("%d/%d", done, total)) }
	if err := a.Verify(ctx, progress); err != nil || fmt.Sprint(got) != "[256/768 512/768 768/768]" {
		t.Fatalf("%v %v", got, err)
	}
	err := a.Verify(ctx, func(done, total uint64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// Verify, reads and proofs run beside Append and Erase.
func TestBesideAppend(t *testing.T) {
	_, a := filled(t, 512)
	rs := records(0, 3072)
	var erased []Target
	for from := 512; from < len(rs); from += 256 {
		erased = append(erased, Target{Seq: uint64(from - 255)})
	}
	verify := func() error {
		_, err := a.VerifyBefore(context.Background(), erasedBehind(t, erased...), nil)
		return err
	}
	done := make(chan error, 1)
	go func() {
		for from := 512; from < len(rs); from += 256 {
			if err := a.Append(rs[from : from+256]); err != nil {
				done <- err
				return
			}
			if err := a.Erase([]Target{{Seq: uint64(from - 255)}}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	rng := rand.New(rand.NewPCG(1, 2))
	for {
		select {
		case err := <-done:
			if err == nil {
				err = verify()
			}
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		tree := a.Tree()
		seq := rng.Uint64N(uint64(tree.N))
		proof, err := a.Prove(seq, uint64(tree.N))
		if err == nil {
			err = tlog.CheckRecord(proof, tree.N, tree.Hash, int64(seq), tlog.RecordHash(rs[seq].Envelope))
		}
		if err == nil {
			_, err = a.Payload(seq)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
