package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// put makes a file, not synced.
func put(t testing.TB, d *Disk, name, content string) {
	t.Helper()
	f, err := d.Create(name, "")
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// save makes a file durable, with its name.
func save(t testing.TB, d *Disk, name, content string) {
	t.Helper()
	put(t, d, name, content)
	if err := errors.Join(syncFile(d, name), syncDir(d, d.PathDir(name))); err != nil {
		t.Fatal(err)
	}
}

func syncFile(d *Disk, name string) error {
	f, err := d.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func read(t testing.TB, d *Disk, name string) string {
	t.Helper()
	b, err := d.ReadFile(name)
	if err != nil {
		return "(" + errors.Unwrap(err).Error() + ")"
	}
	return string(b)
}

func mkdir(t testing.TB, d *Disk, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := d.MkdirAll(name, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// Errors are those of a real file system.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*Disk) error
		want error
	}{
		{"open what is not there", func(d *Disk) error { _, err := d.Open("x"); return err }, fs.ErrNotExist},
		{"open below a file", func(d *Disk) error { _, err := d.Open("file/x"); return err }, syscall.ENOTDIR},
		{"open a directory to write", func(d *Disk) error { _, err := d.OpenReadWrite("dir", ""); return err }, syscall.EISDIR},
		{"create in no directory", func(d *Disk) error { _, err := d.Create("x/y", ""); return err }, fs.ErrNotExist},
		{"create over a directory", func(d *Disk) error { _, err := d.Create("dir", ""); return err }, syscall.EISDIR},
		{"mkdir over a file", func(d *Disk) error { return d.MkdirAll("file", 0) }, syscall.ENOTDIR},
		{"mkdir below a file", func(d *Disk) error { return d.MkdirAll("file/x", 0) }, syscall.ENOTDIR},
		{"mkdir what is there", func(d *Disk) error { return d.MkdirAll("dir", 0) }, nil},
		{"link a directory", func(d *Disk) error { return d.Link("dir", "x") }, syscall.EPERM},
		{"link over a file", func(d *Disk) error { return d.Link("file", "dir/file") }, fs.ErrExist},
		{"link what is not there", func(d *Disk) error { return d.Link("x", "y") }, fs.ErrNotExist},
		{"link to another volume", func(d *Disk) error { return d.Link("file", "/disk1/file") }, syscall.EXDEV},
		{"rename what is not there", func(d *Disk) error { return d.Rename("x", "y") }, fs.ErrNotExist},
		{"rename to no directory", func(d *Disk) error { return d.Rename("file", "x/y") }, fs.ErrNotExist},
		{"rename over a directory", func(d *Disk) error { return d.Rename("file", "empty") }, fs.ErrExist},
		{"rename a directory over a file", func(d *Disk) error { return d.Rename("dir", "file") }, syscall.ENOTDIR},
		{"rename into itself", func(d *Disk) error { return d.Rename("dir", "dir/x") }, syscall.EINVAL},
		{"rename to itself", func(d *Disk) error { return d.Rename("file", "file") }, nil},
		{"rename to another volume", func(d *Disk) error { return d.Rename("file", "/disk1/file") }, syscall.EXDEV},
		{"rename what is mounted", func(d *Disk) error { return d.Rename("/disk1", "/x") }, syscall.EBUSY},
		{"remove what is not there", func(d *Disk) error { return d.Remove("x") }, fs.ErrNotExist},
		{"remove what is not empty", func(d *Disk) error { return d.Remove("dir") }, syscall.ENOTEMPTY},
		{"remove what is mounted", func(d *Disk) error { return d.Remove("/disk1") }, syscall.EBUSY},
		{"remove all of nothing", func(d *Disk) error { return d.RemoveAll("x/y") }, nil},
		{"list a file", func(d *Disk) error { _, err := d.List("file"); return err }, syscall.ENOTDIR},
		{"stat what is not there", func(d *Disk) error { _, err := d.Stat("dir/x"); return err }, fs.ErrNotExist},
		{"write what is open to read", func(d *Disk) error { f, _ := d.Open("file"); _, err := f.Write([]byte("x")); return err }, syscall.EBADF},
		{"read a directory", func(d *Disk) error { f, _ := d.OpenDir("dir"); _, err := f.Read(make([]byte, 1)); return err }, syscall.EISDIR},
		{"read what is closed", func(d *Disk) error {
			f, _ := d.Open("file")
			_ = f.Close()
			_, err := f.Read(make([]byte, 1))
			return err
		}, fs.ErrClosed},
		{"close twice", func(d *Disk) error { f, _ := d.Open("file"); _ = f.Close(); return f.Close() }, fs.ErrClosed},
		{"lock twice", func(d *Disk) error { _, _ = d.Lock("l"); _, err := d.Lock("l"); return err }, syscall.EAGAIN},
		{"lock, unlock, lock", func(d *Disk) error {
			l, _ := d.Lock("l")
			_ = l.Close()
			_, err := d.Lock("l")
			return err
		}, nil},
	} {
		d := New(nil, Config{Volumes: []Mount{{Path: "/disk1"}}})
		mkdir(t, d, "dir", "empty")
		put(t, d, "file", "x")
		put(t, d, "dir/file", "y")
		if err := c.do(d); c.want == nil && err != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := read(t, d, "file") + read(t, d, "dir/file"); c.want != nil && got != "xy" {
			t.Errorf("%s: the files hold %s", c.name, got)
		}
	}
}

func TestFiles(t *testing.T) {
	d := New(nil, Config{})
	mkdir(t, d, "/a/b/c")
	put(t, d, "a/one", "1")
	if err := d.Link("a/one", "a/b/two"); err != nil || !d.Same("a/one", "/a/b/two") || d.Same("a/one", "a/b/three") {
		t.Error(err)
	}
	f, err := d.OpenReadWrite("a/b/two", "")
	if err != nil {
		t.Fatal(err)
	}
	// Links are one file; it stays while it is open.
	if err := errors.Join(d.Remove("a/one"), d.Remove("a/b/two")); err != nil {
		t.Fatal(err)
	}
	b := []byte(strings.Repeat("x", 10000))
	if _, err := f.WriteAt(b, 5); err != nil || !bytes.Equal(b, []byte(strings.Repeat("x", 10000))) {
		t.Error("WriteAt scrambled its argument", err)
	}
	got, err := io.ReadAll(f)
	if err != nil || string(got) != "1\x00\x00\x00\x00"+string(b) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 10005 || info.Name() != "two" || info.IsDir() {
		t.Error(info, err)
	}
	if n := d.Volume("/").Used(); n != 12288 {
		t.Errorf("%d bytes are used", n)
	}
	if err := f.Close(); err != nil || d.Volume("/").Used() != 0 {
		t.Error("it is not freed", err)
	}
	// Reuse keeps the content; the name that it takes is free for another.
	put(t, d, "a/old", "old content")
	f, err = d.ReuseForWrite("a/old", "a/b/new", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("new")); err != nil || read(t, d, "a/b/new") != "new content" {
		t.Error(err, read(t, d, "a/b/new"))
	}
	for name, want := range map[string][]string{"/": {"a"}, "a": {"b"}, "a/b": {"c", "new"}} {
		if got, err := d.List(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s has %v, %v", name, got, err)
		}
	}
	if err := d.RemoveAll("/a"); err != nil || len(d.Files("/")) != 0 {
		t.Error(err)
	}
}

// A caller that relies on its buffer after a Write is found out.
func TestWriteScrambles(t *testing.T) {
	f, err := New(nil, Config{}).Create("x", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 7, 8, 9, 4096, 5001} {
		b := bytes.Repeat([]byte{7}, n)
		if got, err := f.Write(b); got != n || err != nil || slices.Contains(b, 7) {
			t.Errorf("%d of %d bytes, %v", got, n, err)
		}
	}
}

func TestSpace(t *testing.T) {
	d := New(nil, Config{Volumes: []Mount{{Path: "/disk1", Capacity: 40960}}})
	v := d.Volume("/disk1")
	if _, err := d.GetDiskUsage("/x"); !errors.Is(err, vfs.ErrUnsupported) {
		t.Error(err)
	}
	f, err := d.Create("/disk1/a", "")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write(make([]byte, 30000)); n != 30000 || err != nil {
		t.Fatal(n, err)
	}
	if u, err := d.GetDiskUsage("/disk1/a"); err != nil || u.UsedBytes != 32768 || u.AvailBytes != 8192 || u.TotalBytes != 40960 {
		t.Errorf("%+v, %v", u, err)
	}
	// What fits is written.
	if n, err := f.Write(make([]byte, 20000)); n != 10960 || !errors.Is(err, syscall.ENOSPC) || !vfs.IsNoSpaceError(err) {
		t.Error(n, err)
	}
	if n, err := f.Write(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Error(n, err)
	}
	if _, err := f.WriteAt(make([]byte, 100), 0); err != nil {
		t.Error("what is allocated can be written again:", err)
	}
	for what, err := range map[string]error{
		"mkdir": d.MkdirAll("/disk1/d", 0), "link": d.Link("/disk1/a", "/disk1/b"), "preallocate": f.Preallocate(0, 50000),
	} {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Error(what, err)
		}
	}
	if _, err := d.Create("/disk1/b", ""); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := errors.Join(f.Close(), d.Remove("/disk1/a")); err != nil || v.Used() != 0 {
		t.Error(err, v.Used())
	}
	f, err = d.Create("/disk1/b", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Preallocate(0, 40000); err != nil || v.Used() != 40960 {
		t.Error(err, v.Used())
	}
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Error("the size is not that of what was written", err)
	}
	if n, err := f.Write(make([]byte, 40960)); n != 40960 || err != nil {
		t.Error(n, err)
	}
	v.SetCapacity(0)
	if err := d.MkdirAll("/disk1/d", 0); err != nil {
		t.Error(err)
	}
}

// TestHandles: what is open is known, by path, until it is closed; the next incarnation
// has nothing open.
func TestHandles(t *testing.T) {
	d := New(nil, Config{})
	mkdir(t, d, "/d")
	a, err1 := d.Create("/d/a", "")
	again, err2 := d.Open("/d/a")
	dir, err3 := d.OpenDir("/d")
	lock, err4 := d.Lock("/d/lock")
	if err := errors.Join(err1, err2, err3, err4, d.Rename("/d/a", "/d/b")); err != nil {
		t.Fatal(err)
	}
	if got, want := d.Handles(), []string{"/d", "/d/a", "/d/a", "/d/lock"}; !slices.Equal(got, want) {
		t.Errorf("%q are open, not %q", got, want)
	}
	if got := d.Kill().Handles(); len(got) != 0 {
		t.Errorf("the next incarnation has %q open", got)
	}
	if err := errors.Join(a.Close(), again.Close(), dir.Close(), lock.Close()); err != nil {
		t.Fatal(err)
	}
	if got := d.Handles(); len(got) != 0 {
		t.Errorf("%q are open", got)
	}
}
