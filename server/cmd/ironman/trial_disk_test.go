package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestDiskMarks: a directory fails as its mark says, also for files that are open, for
// as long as the mark is there; the one beside it does not.
func TestDiskMarks(t *testing.T) {
	root := t.TempDir()
	a, b := filepath.Join(root, "disk1"), filepath.Join(root, "disk10")
	f := &markFS{FS: vfs.Default, dirs: []string{a, b}}
	open, beside := openIn(t, f, a), openIn(t, f, b)
	create := func(dir string) error {
		n, err := f.Create(filepath.Join(dir, "new"), vfs.WriteCategoryUnspecified)
		if err == nil {
			err = n.Close()
		}
		return err
	}
	write := func(file vfs.File, at int64) error {
		_, err := file.WriteAt([]byte("x"), at)
		return err
	}
	read := func(file vfs.File) error {
		_, err := file.ReadAt(make([]byte, 1), 0)
		return err
	}
	for mark, want := range map[string]struct{ create, grow, change, remove, read, sync error }{
		"":           {},
		markReadOnly: {create: syscall.EROFS, grow: syscall.EROFS, change: syscall.EROFS, remove: syscall.EROFS},
		markFull:     {create: syscall.ENOSPC, grow: syscall.ENOSPC},
		markSick:     {create: syscall.EIO, grow: syscall.EIO, change: syscall.EIO, remove: syscall.EIO, read: syscall.EIO, sync: syscall.EIO},
	} {
		if mark != "" {
			if err := os.WriteFile(a+mark, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		check := func(what string, got, want error) {
			t.Helper()
			if !errors.Is(got, want) {
				t.Errorf("%q: %s: %v, want %v", mark, what, got, want)
			}
		}
		check("create", create(a), want.create)
		check("grow", write(open, 10_000), want.grow)
		check("change", write(open, 5), want.change)
		check("read", read(open), want.read)
		check("sync", open.Sync(), want.sync)
		check("remove", f.Remove(filepath.Join(a, "open")), want.remove)
		u, err := f.GetDiskUsage(a)
		check("usage", err, nil)
		if (u.AvailBytes == 0) != (mark == markFull) {
			t.Errorf("%q: %d bytes are available", mark, u.AvailBytes)
		}
		check("create beside it", create(b), nil)
		check("change beside it", write(beside, 5), nil)
		if err := errors.Join(os.RemoveAll(a+mark), os.MkdirAll(a, 0o700), os.WriteFile(filepath.Join(a, "open"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		open.Close()
		open = openIn(t, f, a)
	}
}

// openIn makes a file of 100 bytes in a directory, and leaves it open.
func openIn(t *testing.T, f vfs.FS, dir string) vfs.File {
	t.Helper()
	if err := f.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := f.Create(filepath.Join(dir, "open"), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if _, err := file.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	return file
}
