package disk

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// model is the disk as a few maps: directories d0 to d2, which are durable, and files
// in them.
type model struct {
	live, durable map[string]*modelFile // by path
	pending       []modelChange
}

type modelFile struct {
	live, synced []byte
	dirty        map[int]bool // blocks
}

type modelChange struct {
	name, away string
	file       *modelFile
}

func (c modelChange) apply(to map[string]*modelFile) {
	delete(to, c.away)
	if c.file == nil {
		delete(to, c.name)
	} else {
		to[c.name] = c.file
	}
}

func (c modelChange) touches(names ...string) bool {
	return slices.Contains(names, c.name) || c.away != "" && slices.Contains(names, c.away)
}

func (m *model) change(c modelChange) {
	c.apply(m.live)
	m.pending = append(m.pending, c)
}

// syncDir: what happened in the directory, and what that rests on, until nothing more joins.
func (m *model) syncDir(dir string) {
	in := make([]bool, len(m.pending))
	for grown := true; grown; {
		grown = false
		for i, c := range m.pending {
			joins := c.name[:2] == dir || c.away != "" && c.away[:2] == dir
			for j := i + 1; j < len(m.pending); j++ {
				joins = joins || in[j] && c.touches(m.pending[j].name, m.pending[j].away)
			}
			if joins && !in[i] {
				in[i], grown = true, true
			}
		}
	}
	var rest []modelChange
	for i, c := range m.pending {
		if in[i] {
			c.apply(m.durable)
		} else {
			rest = append(rest, c)
		}
	}
	m.pending = rest
}

func (m *model) names() []string { return slices.Sorted(maps.Keys(m.live)) }

// settle is the model after a cut that left everything, or nothing.
func (m *model) settle(all bool) *model {
	from := m.durable
	if all {
		from = m.live
	}
	next := &model{live: map[string]*modelFile{}, durable: map[string]*modelFile{}}
	copies := map[*modelFile]*modelFile{}
	for name, f := range from {
		if copies[f] == nil {
			b := f.synced
			if all {
				b = f.live
			}
			copies[f] = &modelFile{live: slices.Clone(b), synced: slices.Clone(b), dirty: map[int]bool{}}
		}
		next.live[name], next.durable[name] = copies[f], copies[f]
	}
	return next
}

// rig does the same to a disk and to the model.
type rig struct {
	t    *rapid.T
	disk *Disk
	m    *model
	rng  *rand.Rand
	next int
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) pick(label string) string {
	names := r.m.names()
	if len(names) == 0 {
		return ""
	}
	return rapid.SampledFrom(names).Draw(r.t, label)
}

func (r *rig) fresh() string {
	return fmt.Sprintf("d%d/f%d", rapid.IntRange(0, 2).Draw(r.t, "dir"), rapid.IntRange(0, 3).Draw(r.t, "name"))
}

func (r *rig) create(*rapid.T) {
	name := r.fresh()
	f, err := r.disk.Create(name, "")
	r.must(err)
	r.must(f.Close())
	if r.m.live[name] != nil {
		r.m.change(modelChange{name: name})
	}
	r.m.change(modelChange{name: name, file: &modelFile{dirty: map[int]bool{}}})
}

func (r *rig) write(*rapid.T) {
	name := r.pick("file")
	if name == "" {
		return
	}
	n := rapid.SampledFrom([]int{1, 100, 512, 4096, 5000, 9000}).Draw(r.t, "length")
	off := rapid.SampledFrom([]int{0, 1, 500, 4095, 4096, 8192, 20000}).Draw(r.t, "offset")
	b := make([]byte, n)
	if rapid.Bool().Draw(r.t, "not zeros") {
		r.next++
		for i := range b {
			b[i] = byte(r.next + i/64)
		}
	}
	file := r.m.live[name]
	if grow := off + n - len(file.live); grow > 0 {
		file.live = append(file.live, make([]byte, grow)...)
	}
	copy(file.live[off:], b)
	for i := off / 4096; i <= (off+n-1)/4096; i++ {
		file.dirty[i] = true
	}
	f, err := r.disk.OpenReadWrite(name, "")
	r.must(err)
	_, err = f.WriteAt(b, int64(off))
	r.must(err)
	r.must(f.Close())
}

func (r *rig) sync(*rapid.T) {
	name := r.pick("file")
	if name == "" {
		return
	}
	f, err := r.disk.Open(name)
	r.must(err)
	r.must(f.SyncData())
	r.must(f.Close())
	file := r.m.live[name]
	file.synced, file.dirty = slices.Clone(file.live), map[int]bool{}
}

func (r *rig) syncDir(*rapid.T) {
	dir := fmt.Sprintf("d%d", rapid.IntRange(0, 2).Draw(r.t, "dir"))
	f, err := r.disk.OpenDir(dir)
	r.must(err)
	r.must(f.Sync())
	r.must(f.Close())
	r.m.syncDir(dir)
}

func (r *rig) remove(*rapid.T) {
	if name := r.pick("file"); name != "" {
		r.must(r.disk.Remove(name))
		r.m.change(modelChange{name: name})
	}
}

func (r *rig) link(*rapid.T) {
	from, to := r.pick("file"), r.fresh()
	if from != "" && r.m.live[to] == nil {
		r.must(r.disk.Link(from, to))
		r.m.change(modelChange{name: to, file: r.m.live[from]})
	}
}

func (r *rig) rename(*rapid.T) {
	from, to := r.pick("file"), r.fresh()
	if from == "" {
		return
	}
	r.must(r.disk.Rename(from, to))
	if r.m.live[from] != r.m.live[to] {
		r.m.change(modelChange{name: to, away: from, file: r.m.live[from]})
	}
}

// cut checks what any cut may leave, and goes on from one that left all or nothing.
func (r *rig) cut(*rapid.T) {
	for _, percent := range []int{0, 100} {
		want := r.m.settle(percent == 100)
		if got := contents(r.disk.Cut(nil, Keep(percent))); !maps.Equal(got, want.contents()) {
			r.t.Fatalf("%d %%: found %v", percent, slices.Sorted(maps.Keys(got)))
		}
	}
	loss := Loss{Blocks: 0.4, Sizes: 0.5, Entries: 0.5, Torn: 0.5}
	seed := r.rng.Uint64()
	some := r.disk.Cut(rand.New(rand.NewPCG(seed, 1)), loss)
	if again := r.disk.Cut(rand.New(rand.NewPCG(seed, 1)), loss); !maps.Equal(contents(some), contents(again)) {
		r.t.Fatal("the same seed left another disk")
	}
	r.mayBe(some)
	if got := contents(some.Cut(nil, Keep(0))); !maps.Equal(got, contents(some)) {
		r.t.Fatal("something is not durable after a cut")
	}
	all := rapid.Bool().Draw(r.t, "all")
	r.disk, r.m = r.disk.Cut(nil, Keep(map[bool]int{true: 100}[all])), r.m.settle(all)
}

func (r *rig) kill(*rapid.T) { r.disk = r.disk.Kill() }

// mayBe checks names and contents of a cut that left some.
func (r *rig) mayBe(d *Disk) {
	for dir := range 3 {
		for n := range 4 {
			name := fmt.Sprintf("d%d/f%d", dir, n)
			may := []*modelFile{r.m.durable[name]}
			for _, c := range r.m.pending {
				switch name {
				case c.name:
					may = append(may, c.file)
				case c.away:
					may = append(may, nil)
				}
			}
			b, err := d.ReadFile(name)
			if !slices.ContainsFunc(may, func(f *modelFile) bool { return f == nil && err != nil || f != nil && err == nil && f.mayBe(b) }) {
				r.t.Fatalf("%s is none of %d versions: %d bytes, %v", name, len(may), len(b), err)
			}
		}
	}
}

// mayBe: what is not dirty is as it is, the sectors of what is are as they are or were.
func (f *modelFile) mayBe(b []byte) bool {
	if len(b) < len(f.synced) || len(b) > len(f.live) {
		return false
	}
	padded := func(b []byte, from, to int) []byte {
		out := make([]byte, to-from)
		if from < len(b) {
			copy(out, b[from:])
		}
		return out
	}
	for at := 0; at < len(b); at += 512 {
		end := min(at+512, len(b))
		is := bytes.Equal(b[at:end], f.live[at:end])
		was := f.dirty[at/4096] && bytes.Equal(b[at:end], padded(f.synced, at, end))
		if !is && !was {
			return false
		}
	}
	return true
}

func (m *model) contents() map[string]string {
	out := map[string]string{}
	for name, f := range m.live {
		out["/"+name] = string(f.live)
	}
	return out
}

func contents(d *Disk) map[string]string {
	out := map[string]string{}
	for _, f := range d.Files("/") {
		b, err := d.ReadFile(f.Path)
		if err != nil || int64(len(b)) != f.Size {
			panic(fmt.Sprint(f, len(b), err))
		}
		out[f.Path] = string(b)
	}
	return out
}

// Any operations leave what the model says, before and after a cut; what is synced in
// a synced directory is always there.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &rig{
			t: t, disk: New(nil, Config{}), rng: rand.New(rand.NewPCG(1, 2)),
			m: &model{live: map[string]*modelFile{}, durable: map[string]*modelFile{}},
		}
		for i := range 3 {
			r.must(r.disk.MkdirAll(fmt.Sprintf("d%d", i), 0))
		}
		r.must(syncDir(r.disk, "/"))
		t.Repeat(map[string]func(*rapid.T){
			"create": r.create, "write": r.write, "write more": r.write, "sync": r.sync, "syncDir": r.syncDir,
			"remove": r.remove, "link": r.link, "rename": r.rename, "cut": r.cut, "kill": r.kill,
			"": func(t *rapid.T) {
				if !maps.Equal(contents(r.disk), r.m.contents()) {
					t.Fatal("the files are others")
				}
			},
		})
		if got, want := r.disk.Volume("/").Used(), r.m.used(); got != want {
			t.Fatalf("%d bytes are used, and not %d", got, want)
		}
	})
}

func (m *model) used() (n uint64) {
	seen := map[*modelFile]bool{}
	for _, f := range m.live {
		if !seen[f] {
			seen[f] = true
			n += uint64(len(f.live)+4095) / 4096 * 4096
		}
	}
	return n
}

func syncDir(fs vfs.FS, name string) error {
	f, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}
