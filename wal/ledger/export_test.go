package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// client is a public verifier: it knows the specification, tlog and note, and
// nothing of this package.
type client struct {
	t    testing.TB
	fsys vfs.FS
	dir  string
}

func (c client) Height() int                        { return 8 }
func (c client) SaveTiles([]tlog.Tile, [][]byte)    {}
func (c client) index(n int64, w int) (path string) { return strings.TrimPrefix(tlogIndex(n, w), "/") }

// tlogIndex takes the index part of tlog's own path of a tile.
func tlogIndex(n int64, w int) string {
	return strings.TrimPrefix(tlog.Tile{H: 8, L: 0, N: n, W: w}.Path(), "tile/8/0")
}

func (c client) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		out = append(out, get(c.t, c.fsys, fmt.Sprintf("%s/tile/%d/%s", c.dir, tile.L, c.index(tile.N, tile.W))))
	}
	return out, nil
}

// checkpoint opens the checkpoint with the public key.
func (c client) checkpoint(origin string, key note.Verifier) tlog.Tree {
	n, err := note.Open(get(c.t, c.fsys, c.dir+"/checkpoint"), note.VerifierList(key))
	if err != nil {
		c.t.Fatal(err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != origin || lines[3] != "" {
		c.t.Fatalf("checkpoint %q", n.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		c.t.Fatal(err)
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}
}

// entries reads the entries of a bundle.
func (c client) entries(tree tlog.Tree, n int64) (entries [][]byte) {
	w := min(tree.N-n*256, 256)
	b := get(c.t, c.fsys, fmt.Sprintf("%s/tile/entries/%s", c.dir, c.index(n, int(w))))
	for len(b) > 0 {
		size := int(b[0])<<8 | int(b[1])
		entries, b = append(entries, b[2:2+size]), b[2+size:]
	}
	if len(entries) != int(w) {
		c.t.Fatalf("%d entries in bundle %d", len(entries), n)
	}
	return entries
}

// An export of any size is a tree that a public client accepts, entry by entry,
// and consistent with every other.
func TestExportForPublicClients(t *testing.T) {
	all := records(0, 1500)
	_, key := testKey(t, 1)
	m := newModel(t, all)
	_, a := filled(t, 1024)
	var before tlog.Tree
	for _, size := range []uint64{1, 2, 255, 256, 257, 700, 1023, 1024, 1025, 1280, 1500} {
		out := vfs.NewMem()
		x := Export{FS: out, Dir: "x", Size: size, Tail: all[1024:], Payloads: size%2 == 0}
		if err := a.Export(context.Background(), x); err != nil {
			t.Fatalf("%d: %v", size, err)
		}
		c := client{t, out, "x"}
		tree := c.checkpoint(testOrigin, key)
		if tree != (tlog.Tree{N: int64(size), Hash: m.root(t, size)}) {
			t.Fatalf("export of %d has the tree %v", size, tree)
		}
		hashes := tlog.TileHashReader(tree, c)
		for n := int64(0); n*256 < tree.N; n++ {
			for i, e := range c.entries(tree, n) {
				seq := n*256 + int64(i)
				if i%37 != 0 && seq != tree.N-1 {
					continue
				}
				proof, err := tlog.ProveRecord(tree.N, seq, hashes)
				if err == nil {
					err = tlog.CheckRecord(proof, tree.N, tree.Hash, seq, tlog.RecordHash(e))
				}
				if err != nil || string(e) != string(all[seq].Envelope) {
					t.Fatalf("entry %d in %d: %v", seq, size, err)
				}
			}
		}
		if before.N > 0 {
			proof, err := tlog.ProveTree(tree.N, before.N, hashes)
			if err == nil {
				err = tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		before = tree
		v := VerifyOptions{FS: out, Dir: "x", Origin: testOrigin, Verifiers: note.VerifierList(key), Export: true, EnvelopesOnly: !x.Payloads}
		if got, err := Verify(context.Background(), v); err != nil || got.Tree != tree {
			t.Fatalf("export of %d: %v", size, err)
		}
	}
}

// Damage to an export, its partial tiles among it, is named by sequence.
func TestVerifyExport(t *testing.T) {
	_, a := filled(t, 512)
	_, key := testKey(t, 1)
	for _, c := range []struct {
		name   string
		seq    uint64
		tamper func(f forger)
	}{
		{"a partial bundle is edited", 600, func(f forger) { f.flip("tile/entries/002.p/188", 88*int(len(record(0, 600).Envelope))) }},
		{"a partial tile is edited", 600, func(f forger) { f.flip("tile/0/002.p/188", 88*32) }},
		{"a partial tile is cut", 512, func(f forger) { f.cut("tile/0/002.p/188", 187*32) }},
		{"a partial tile is gone", 512, func(f forger) { f.remove("tile/0/002.p/188") }},
		{"a hash of level 1 is edited", 256, func(f forger) { f.flip("tile/1/000.p/2", 32+7) }},
		{"level 1 is gone", 0, func(f forger) { f.remove("tile/1/000.p/2") }},
		{"a partial payload bundle is gone", 512, func(f forger) { f.remove("payload/002.p/188") }},
		{"the checkpoint is gone", 0, func(f forger) { f.remove("checkpoint") }},
	} {
		out := vfs.NewMem()
		x := Export{FS: out, Dir: "ledger", Tail: records(512, 700), Payloads: true}
		if err := a.Export(context.Background(), x); err != nil {
			t.Fatal(err)
		}
		c.tamper(forger{t, out})
		_, err := Verify(context.Background(), VerifyOptions{FS: out, Dir: "ledger", Origin: testOrigin, Verifiers: note.VerifierList(key), Export: true})
		var d *Damage
		if !errors.As(err, &d) || c.name != "a partial bundle is edited" && d.Seq != c.seq || d.Seq/BundleSize != c.seq/BundleSize {
			t.Errorf("%s: got %v, want sequence %d", c.name, err, c.seq)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	fsys, a := filled(t, 512)
	bad := records(512, 600)
	bad[3].Statement = nil
	for _, c := range []struct {
		name string
		x    Export
		want error
	}{
		{"more than there is", Export{Size: 601, Tail: records(512, 600)}, ErrNotArchived},
		{"a tail that does not join", Export{Tail: records(513, 600)}, ErrGap},
		{"a tail that overlaps", Export{Tail: records(500, 600)}, ErrGap},
		{"a bad record in the tail", Export{Tail: bad}, ErrRecord},
	} {
		c.x.FS, c.x.Dir = vfs.NewMem(), "x"
		if err := a.Export(context.Background(), c.x); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	x := Export{FS: vfs.NewMem(), Dir: "x"}
	if err := a.Export(context.Background(), x); err != nil {
		t.Fatal(err)
	}
	if err := a.Export(context.Background(), x); err == nil {
		t.Error("an export over an export")
	}
	o := options(t, fsys)
	o.Signer = nil
	for size, fine := range map[uint64]bool{0: true, 512: true, 256: false, 511: false} { // there is a checkpoint of 512
		if err := open(t, o).Export(context.Background(), Export{FS: vfs.NewMem(), Dir: "x", Size: size}); (err == nil) != fine {
			t.Errorf("an export of %d without a signer: %v", size, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := a.Export(ctx, Export{FS: vfs.NewMem(), Dir: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// Of a damaged archive nothing is exported under a checkpoint.
	for _, name := range []string{EntriesPath(1, 256), PayloadPath(1, 256)} {
		fsys, a := filled(t, 512)
		forger{t, fsys}.flip(name, 4000)
		out := vfs.NewMem()
		if err := a.Export(context.Background(), Export{FS: out, Dir: "x", Payloads: true}); err == nil {
			t.Errorf("%s is damaged, and exported", name)
		}
		if _, err := out.Stat("x/checkpoint"); err == nil {
			t.Error("a checkpoint over a damaged export")
		}
	}
}

func TestExportOfNothing(t *testing.T) {
	_, a := filled(t, 0)
	out := vfs.NewMem()
	if err := a.Export(context.Background(), Export{FS: out, Dir: "x"}); err != nil {
		t.Fatal(err)
	}
	_, key := testKey(t, 1)
	v := VerifyOptions{FS: out, Dir: "x", Origin: testOrigin, Verifiers: note.VerifierList(key), Export: true}
	if tree, err := Verify(context.Background(), v); err != nil || tree.N != 0 {
		t.Fatalf("%v %v", tree, err)
	}
}

// The layout of an archive and of an export, file by file. Payload bundles stand
// there by name only: what zstd makes of them is not ours to pin.
func TestLayout(t *testing.T) {
	fsys, a := filled(t, 1100)
	out := vfs.NewMem()
	if err := a.Export(context.Background(), Export{FS: out, Dir: "x", Tail: records(1024, 1100), Payloads: true}); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	list := func(title string, files map[string]string) {
		fmt.Fprintln(&b, "#", title)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if strings.HasPrefix(name, "payload/") {
				fmt.Fprintln(&b, name)
				continue
			}
			fmt.Fprintf(&b, "%s %d %x\n", name, len(files[name]), sha256.Sum256([]byte(files[name])))
		}
	}
	list("archive of 1,100 sequences", tree(t, fsys, "ledger"))
	list("its export", tree(t, out, "x"))
	fmt.Fprintf(&b, "# checkpoint\n%s", get(t, out, "x/checkpoint"))
	golden(t, "layout.golden", b.String())
}

// Beyond 65,536 leaves: tiles of level 1 and 2, milestones, and their damage.
func TestLargeLedger(t *testing.T) {
	if testing.Short() || stride > 1 {
		t.Skip("70,000 leaves")
	}
	all := records(0, 70000)
	fsys := vfs.NewMem()
	a := open(t, options(t, fsys))
	for a.Size() < 69888 {
		mustAppend(t, a, all[a.Size():min(a.Size()+20000, 70000)])
	}
	a = open(t, options(t, fsys))
	m := newModel(t, all)
	if a.Tree() != (tlog.Tree{N: 69888, Hash: m.root(t, 69888)}) {
		t.Fatal("another root")
	}
	_, key := testKey(t, 1)
	keys := note.VerifierList(key)
	c, err := OpenCheckpoint(get(t, fsys, "ledger/checkpoints/000"), testOrigin, keys)
	if err != nil || c.Tree != (tlog.Tree{N: 65536, Hash: m.root(t, 65536)}) {
		t.Fatalf("milestone %v: %v", c.Tree, err)
	}
	if err := a.Verify(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	damage := func(name string, at int, want uint64) {
		t.Helper()
		f := forger{t, fsys}
		was := f.get(name)
		f.flip(name, at)
		err := a.Verify(context.Background(), nil)
		f.put(name, was)
		var d *Damage
		if !errors.As(err, &d) || d.Seq != want {
			t.Errorf("%s: got %v, want sequence %d", name, err, want)
		}
	}
	damage("tile/1/000", 5*32, 5*256)
	damage("checkpoints/000", 150, 0)
	exportLarge(t, a, all, key)
}

// exportLarge checks the example of the specification: a tree of 70,000 leaves.
func exportLarge(t *testing.T, a *Archive, all []Record, key note.Verifier) {
	out := vfs.NewMem()
	if err := a.Export(context.Background(), Export{FS: out, Dir: "x", Tail: all[69888:]}); err != nil {
		t.Fatal(err)
	}
	var partial []string
	full := map[string]int{}
	for name := range tree(t, out, "x") {
		level, _, _ := strings.Cut(strings.TrimPrefix(name, "tile/"), "/")
		if strings.Contains(name, ".p/") {
			partial = append(partial, name)
		} else {
			full[level]++
		}
	}
	slices.Sort(partial)
	if got, want := fmt.Sprint(partial), "[tile/0/273.p/112 tile/1/001.p/17 tile/2/000.p/1 tile/entries/273.p/112]"; got != want {
		t.Errorf("partial tiles %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(full), "map[0:273 1:1 checkpoint:1 entries:273]"; got != want {
		t.Errorf("full tiles %s, want %s", got, want)
	}
	c := client{t, out, "x"}
	tr := c.checkpoint(testOrigin, key)
	hashes := tlog.TileHashReader(tr, c)
	for seq := int64(0); seq < tr.N; seq += 1234 {
		proof, err := tlog.ProveRecord(tr.N, seq, hashes)
		if err == nil {
			err = tlog.CheckRecord(proof, tr.N, tr.Hash, seq, tlog.RecordHash(all[seq].Envelope))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	rs := records(0, 2048)
	b.SetBytes(0)
	for b.Loop() {
		a := open(b, options(b, vfs.NewMem()))
		mustAppend(b, a, rs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2048, "ns/record")
}

func BenchmarkVerify(b *testing.B) {
	_, a := filled(b, 2048)
	for b.Loop() {
		if err := a.Verify(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2048, "ns/record")
}
