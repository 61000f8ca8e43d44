package server_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server/backup"
)

// TestBackupStateDamaged: a node whose snapshot lies damaged on its disk gives no list of the state's
// files, though each of them can be read: no point can come of it.
func TestBackupStateDamaged(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	p := openInProcess(t, fs, "/node")
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	for i := range 100 {
		c.must(t, 200, "PUT", fmt.Sprintf("/box/%d", i), content(uint64(i), 100))
	}
	admin := backup.NewAdmin(p.admin, p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	run, err := admin.Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if files, err := admin.StateFiles(t.Context(), run.Run, func(backup.File) {}); err != nil || len(files) == 0 {
		t.Fatalf("a whole state: %v: %v", files, err)
	}
	if err := admin.End(t.Context(), run.Run); err != nil {
		t.Fatal(err)
	}
	if run, err = admin.Begin(t.Context(), nil); err != nil { // of the same snapshot, which was whole
		t.Fatal(err)
	}
	hurt := 0
	walkFiles(t, fs, "/node/node/wal", func(path string) {
		if strings.HasSuffix(path, ".sst") {
			flipByte(t, fs, path)
			hurt++
		}
	})
	if hurt == 0 {
		t.Fatal("no snapshot has a table: the test proves nothing")
	}
	if _, err := admin.StateFiles(t.Context(), run.Run, func(backup.File) {}); err == nil {
		t.Error("the files of a damaged state were offered")
	}
}

// walkFiles calls f for all files below a directory.
func walkFiles(t testing.TB, fs vfs.FS, dir string, f func(path string)) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		if st, err := fs.Stat(path); err != nil {
			t.Fatal(err)
		} else if st.IsDir() {
			walkFiles(t, fs, path, f)
		} else {
			f(path)
		}
	}
}

// flipByte changes a byte in the middle of a file, under this name alone: links to it stay as they
// are.
func flipByte(t testing.TB, fs vfs.FS, path string) {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	if f, err = fs.Create(path, vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
}
