package disk

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 9)) }

// outcomes cuts the same disk often and returns what was found, sorted.
func outcomes(t *testing.T, d *Disk, loss Loss, find func(*Disk) string) []string {
	t.Helper()
	seen := map[string]bool{}
	for seed := range uint64(400) {
		seen[find(d.Cut(seeded(seed), loss))] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func listing(d *Disk) string {
	var out []string
	for _, f := range d.Files("/") {
		out = append(out, f.Path)
	}
	return strings.Join(out, " ")
}

// Each change of a directory is there or not for itself, a rename as a whole, and
// unlinks too; a sync of a directory decides its own.
func TestCutOfNames(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*Disk) error
		want []string
	}{
		{"create", func(d *Disk) error { put(t, d, "b/new", ""); return syncFile(d, "b/new") }, []string{"/a/x", "/a/x /b/new"}},
		{"create over", func(d *Disk) error { put(t, d, "a/x", ""); return nil }, []string{"", "/a/x"}},
		{"unlink", func(d *Disk) error { return d.Remove("a/x") }, []string{"", "/a/x"}},
		{"link", func(d *Disk) error { return d.Link("a/x", "b/y") }, []string{"/a/x", "/a/x /b/y"}},
		{"rename", func(d *Disk) error { return d.Rename("a/x", "b/x") }, []string{"/a/x", "/b/x"}},
		{"rename, source synced", func(d *Disk) error { return errors.Join(d.Rename("a/x", "b/x"), syncDir(d, "a")) }, []string{"/b/x"}},
		{"rename, target synced", func(d *Disk) error { return errors.Join(d.Rename("a/x", "b/x"), syncDir(d, "b")) }, []string{"/b/x"}},
		{"another synced", func(d *Disk) error { return errors.Join(d.Remove("a/x"), syncDir(d, "b"), syncDir(d, "/")) }, []string{"", "/a/x"}},
		{"renames that rest on each other", func(d *Disk) error {
			return errors.Join(d.Rename("a/x", "a/y"), d.Rename("a/y", "b/y"), d.Rename("b/y", "c/y"), syncDir(d, "c"))
		}, []string{"/c/y"}},
		{"a file in a new directory", func(d *Disk) error {
			mkdir(t, d, "b/d")
			put(t, d, "b/d/y", "")
			return syncDir(d, "b/d")
		}, []string{"/a/x", "/a/x /b/d/y"}},
		{"directories that are in each other if a rename is lost", func(d *Disk) error {
			return errors.Join(d.Rename("a", "b/a"), d.Rename("b/a", "b/z"), d.Rename("b/z", "a"), d.Rename("b", "a/b"))
		}, nil},
	} {
		d := New(nil, Config{})
		mkdir(t, d, "a", "b", "c")
		save(t, d, "a/x", "")
		if err := errors.Join(syncDir(d, "/"), c.do(d)); err != nil {
			t.Fatal(c.name, err)
		}
		got := outcomes(t, d, Keep(50), listing)
		if c.want != nil && !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// Blocks are there or not, torn or garbage, but nothing that was synced is harmed.
func TestCutOfBlocks(t *testing.T) {
	d := New(nil, Config{})
	save(t, d, "x", strings.Repeat("s", 6000))
	f, err := d.OpenReadWrite("x", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte("u"), 6000), 6000); err != nil {
		t.Fatal(err)
	}
	whole, torn, garbage, sizes := 0, 0, 0, map[int]bool{}
	for seed := range uint64(500) {
		b, err := d.Cut(seeded(seed), Loss{Blocks: 0.3, Sizes: 0.6, Torn: 0.4, Garbage: 0.4}).ReadFile("x")
		if err != nil || string(b[:6000]) != strings.Repeat("s", 6000) {
			t.Fatal("what was synced is harmed", err)
		}
		sizes[len(b)] = true
		switch rest := string(b[6000:]); {
		case len(b) == 12000 && rest == strings.Repeat("u", 6000):
			whole++
		case strings.Trim(rest, "u\x00") != "":
			garbage++
		case len(b) == 12000 && strings.Contains(rest, "\x00u"):
			torn++
		}
	}
	if whole == 0 || torn == 0 || garbage == 0 || !maps.Equal(sizes, map[int]bool{6000: true, 8192: true, 12000: true}) {
		t.Errorf("whole %d, torn %d, garbage %d, sizes %v", whole, torn, garbage, sizes)
	}
	fired := counts(d)
	for _, name := range []string{"block torn", "block garbage", "unsynced block lost", "unsynced size lost", "power cut"} {
		if fired[name] == 0 {
			t.Errorf("%s was not counted", name)
		}
	}
}

func counts(d *Disk) map[string]uint64 {
	out := map[string]uint64{}
	for _, c := range d.Fired() {
		out[c.Name] = c.N
	}
	return out
}

// The same seed leaves the same disk, whatever the order of Go's maps.
func TestCutIsReproducible(t *testing.T) {
	loss := Loss{Blocks: 0.4, Sizes: 0.5, Entries: 0.5, Torn: 0.3, Garbage: 0.3}
	var first string
	for i := range 20 {
		rng := seeded(4)
		d := New(rng, Config{Volumes: []Mount{{Path: "/n"}, {Path: "/n/deep"}, {Path: "/m"}}, Latency: Latency{}})
		for _, v := range d.Volumes() {
			v.Faults(Rule{Fault: LostWrite, P: 0.1}, Rule{Fault: MisdirectedFile, P: 0.1}, Rule{Fault: SyncError, P: 0.5})
		}
		for k := range 60 {
			dir := []string{"/n", "/m", "/n/deep", "/"}[k%4]
			name := fmt.Sprintf("%s/%d", dir, k)
			put(t, d, name, strings.Repeat(fmt.Sprint(k), 5000))
			if k%3 == 0 {
				_ = syncFile(d, name) // it may fail
			}
			if k%5 == 0 {
				_ = syncDir(d, dir)
			}
			if k%7 == 6 {
				if err := d.Rename(name, name+"'"); err != nil {
					t.Fatal(err)
				}
			}
		}
		next := d.Cut(rng, loss).Kill().Cut(rng, loss)
		got := fmt.Sprint(contents(next), d.Fired(), rng.Uint64())
		if i == 0 {
			first = got
		}
		if got != first {
			t.Fatal("another run, another disk")
		}
	}
	if len(first) < 1000 {
		t.Error("nothing is left")
	}
}

// A cut leaves the disk that it is of alone, and what happens to one later does not
// show on the other.
func TestCutLeavesTheOther(t *testing.T) {
	d := New(nil, Config{})
	save(t, d, "x", strings.Repeat("a", 5000))
	f, err := d.OpenReadWrite("x", "")
	if err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		t.Helper()
		if _, err := f.WriteAt([]byte(s), 4990); err != nil {
			t.Fatal(err)
		}
	}
	write("not synced")
	killed, cut := d.Kill(), d.Cut(nil, Keep(0))
	write("and later.")
	put(t, d, "y", "")
	g, err := killed.OpenReadWrite("x", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt([]byte("other"), 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		d    *Disk
		from string
		want string
	}{
		{d, "aaaaa", "and later."}, {killed, "other", "not synced"}, {cut, "aaaaa", "aaaaaaaaaa"}, {killed.Cut(nil, Keep(0)), "aaaaa", "aaaaaaaaaa"},
	} {
		got := read(t, c.d, "x")
		if !strings.HasPrefix(got, c.from) || !strings.HasSuffix(got, c.want) {
			t.Errorf("%s...%s, and not %s...%s", got[:5], got[4990:], c.from, c.want)
		}
	}
	if err := f.Sync(); err != nil || !strings.HasSuffix(read(t, d.Cut(nil, Keep(0)), "x"), "and later.") {
		t.Error(err)
	}
}

// What is written while a sync runs is not durable by it, and an older sync that ends
// late takes nothing back.
func TestSyncUnderWay(t *testing.T) {
	c := newContent()
	put := func(s string) { c.writeAt([]byte(s), 0) }
	durable := func() string {
		f := c.fork()
		(&cut{tally: new(tally)}).content(f)
		b := make([]byte, f.size)
		f.readAt(b, 0)
		return string(b)
	}
	all := func() bool { return true }
	put("1")
	a := c.begin()
	put("2")
	b := c.begin()
	put("3")
	if got := durable(); got != "" {
		t.Error(got)
	}
	c.finish(b, all, true)
	if got := durable(); got != "2" {
		t.Error(got)
	}
	c.finish(a, all, true)
	if got := durable(); got != "2" {
		t.Error("the older sync took back what the newer made durable:", got)
	}
	c.finish(c.begin(), all, true)
	if got := durable(); got != "3" || len(c.dirty) != 0 {
		t.Error(got)
	}
}

// Directories that nobody syncs do not keep all their changes for ever: the oldest
// become durable, in their order.
func TestPendingIsBounded(t *testing.T) {
	d := New(nil, Config{})
	for i := range 3 * maxPending {
		put(t, d, fmt.Sprintf("%05d", i), "")
	}
	if n := len(d.volumes[0].tree.pending); n > maxPending {
		t.Errorf("%d changes are pending", n)
	}
	left := d.Cut(nil, Keep(0)).Files("/")
	if n := len(left); n < 2*maxPending || n > 3*maxPending-maxPending/2 || left[n-1].Path != fmt.Sprintf("/%05d", n-1) {
		t.Errorf("%d files are left", n)
	}
}
