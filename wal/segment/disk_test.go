package segment

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/durable"
)

const dir = "log"

// disk wraps a file system and tells before of each operation that changes
// something; an error from there fails the operation, which is then not done.
type disk struct {
	vfs.FS
	before func(op string) error
	// lies tells which syncs do nothing and say that they did.
	lies func(op string) bool
}

func (d *disk) tell(format string, args ...any) error {
	if d.before == nil {
		return nil
	}
	return d.before(fmt.Sprintf(format, args...))
}

func (d *disk) Unwrap() vfs.FS { return d.FS }

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.tell("create %s", name); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(name, c)
	return &diskFile{f, d, name, 0}, err
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	return &diskFile{f, d, name, 0}, err
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return &diskFile{f, d, name + "/", 0}, err
}

func (d *disk) Remove(name string) error {
	if err := d.tell("remove %s", name); err != nil {
		return err
	}
	return d.FS.Remove(name)
}

func (d *disk) Rename(from, to string) error {
	if err := d.tell("rename %s %s", from, to); err != nil {
		return err
	}
	return d.FS.Rename(from, to)
}

func (d *disk) MkdirAll(name string, mode iofs.FileMode) error {
	if err := d.tell("mkdir %s", name); err != nil {
		return err
	}
	return d.FS.MkdirAll(name, mode)
}

type diskFile struct {
	vfs.File
	d    *disk
	name string
	pos  int64
}

func (f *diskFile) Write(b []byte) (int, error) {
	if err := f.d.tell("write %s %d+%d", f.name, f.pos, len(b)); err != nil {
		return 0, err
	}
	f.pos += int64(len(b))
	return f.File.Write(b)
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.tell("write %s %d+%d", f.name, off, len(b)); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f *diskFile) Sync() error {
	if err := f.d.tell("sync %s", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *diskFile) SyncData() error {
	if err := f.d.tell("syncdata %s", f.name); err != nil {
		return err
	}
	if f.d.lies != nil && f.d.lies("syncdata "+f.name) {
		return nil
	}
	return f.File.SyncData()
}

// seeded is an io.Reader for salts, the same in every run.
func seeded() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{7}) }

// options of a small log on fs; Fatal fails the test. A machine with much else to do
// is no disk that hangs.
func options(t testing.TB, fs vfs.FS) Options {
	return Options{FS: fs, Dir: dir, SegmentBytes: minSegmentBytes, StallLimit: 5 * time.Minute, Rand: seeded(), Fatal: func(err error) {
		t.Errorf("fatal: %v", err)
		runtime.Goexit()
	}}
}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	l.quiesce()
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quiesce waits until the background has nothing to do, so that operations come in
// one order only.
func (l *Log) quiesce() {
	k := l.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	for (k.order != 0 || len(k.doomed) > 0 || k.busy) && !k.dead {
		k.changed.Wait()
	}
}

// entry makes the entry of an index; generation tells entries of one index apart.
func entry(index uint64, generation, size int) Entry {
	r := rand.New(rand.NewPCG(index, uint64(generation)))
	e := Entry{Index: index, Term: uint64(generation), Type: uint8(index % 6), AppendedAt: time.Unix(int64(index), int64(r.IntN(1e9))).UTC()}
	e.Data = make([]byte, size)
	for i := range e.Data {
		e.Data[i] = byte(r.Uint32())
	}
	if size == 0 {
		e.Data = nil
	}
	if index%3 == 0 {
		e.Extensions = []byte(fmt.Sprintf("extension of %d", index))
	}
	return e
}

// run is consecutive entries.
func run(from uint64, n, generation, size int) []Entry {
	out := make([]Entry, n)
	for i := range out {
		out[i] = entry(from+uint64(i), generation, size)
	}
	return out
}

func same(a, b Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && a.AppendedAt.Equal(b.AppendedAt) &&
		bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Extensions, b.Extensions)
}

// contents is what a log holds, live.
type contents struct {
	floor   uint64
	entries []Entry
}

func (c contents) tail() uint64 { return c.floor + uint64(len(c.entries)) }

func (c contents) append(e []Entry) contents {
	return contents{c.floor, append(slices.Clip(c.entries), e...)}
}

func (c contents) suffix(from uint64) contents {
	return contents{c.floor, c.entries[:from-c.floor-1]}
}

func (c contents) prefix(first uint64) contents {
	return contents{first - 1, c.entries[first-1-c.floor:]}
}

func (c contents) equal(d contents) bool {
	return c.floor == d.floor && slices.EqualFunc(c.entries, d.entries, same)
}

func (c contents) String() string {
	s := fmt.Sprintf("floor %d, %d entries", c.floor, len(c.entries))
	for _, e := range c.entries {
		s += fmt.Sprintf(" %d/%d", e.Index, e.Term)
	}
	return s
}

// read reads all of a log through the disk, not the cache.
func read(l *Log) (contents, error) {
	l.state.Lock()
	l.recent.reset()
	l.state.Unlock()
	c := contents{floor: l.Floor()}
	first, last := l.First(), l.Last()
	if last != 0 && first != c.floor+1 {
		return c, fmt.Errorf("first %d, floor %d", first, c.floor)
	}
	for i := first; i <= last && i > 0; i++ {
		e, err := l.Entry(i)
		if err != nil {
			return c, fmt.Errorf("entry %d: %w", i, err)
		}
		c.entries = append(c.entries, e)
	}
	for _, i := range []uint64{0, c.floor, c.tail() + 1} {
		if _, err := l.Entry(i); !errors.Is(err, ErrNotFound) {
			return c, fmt.Errorf("entry %d outside the log: %v", i, err)
		}
	}
	return c, nil
}

// image is all files under dir and their bytes.
type image map[string][]byte

func capture(t testing.TB, fs vfs.FS) image {
	t.Helper()
	names, err := fs.List(dir)
	must(t, err)
	im := image{}
	for _, n := range names {
		path := fs.PathJoin(dir, n)
		info, err := fs.Stat(path)
		must(t, err)
		b := make([]byte, info.Size())
		f, err := fs.Open(path)
		must(t, err)
		if len(b) > 0 {
			_, err = f.ReadAt(b, 0)
			must(t, err)
		}
		must(t, f.Close())
		im[n] = b
	}
	return im
}

// mount is a fresh file system with the image on it, all of it durable.
func (im image) mount(t testing.TB) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	must(t, fs.MkdirAll(dir, 0o700))
	for n, b := range im {
		f, err := fs.Create(fs.PathJoin(dir, n), writeCategory)
		must(t, err)
		_, err = f.Write(slices.Clone(b)) // it may change what it is given
		must(t, errors.Join(err, f.Sync(), f.Close()))
	}
	must(t, errors.Join(durable.SyncDir(fs, dir), durable.SyncDir(fs, "")))
	return fs
}

func (im image) clone() image {
	out := image{}
	for n, b := range im {
		out[n] = slices.Clone(b)
	}
	return out
}

func (im image) equal(o image) bool {
	if len(im) != len(o) {
		return false
	}
	for n, b := range im {
		if c, ok := o[n]; !ok || !bytes.Equal(b, c) {
			return false
		}
	}
	return true
}

// segmentsOf lists the segment files of an image in order.
func (im image) segments() []string {
	var out []string
	for n := range im {
		if _, ok := fileID(n); ok {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// fatals collects what Fatal was called with; the goroutine ends there.
type fatals struct {
	mu   sync.Mutex
	errs []error
}

func (f *fatals) fatal(err error) {
	f.mu.Lock()
	f.errs = append(f.errs, err)
	f.mu.Unlock()
	runtime.Goexit()
}

func (f *fatals) seen() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.errs)
}

// aside runs f on a goroutine of its own, so that Fatal may end it, and tells
// whether it ran to its end.
func aside(f func()) (finished bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
		finished = true
	}()
	<-done
	return finished
}
