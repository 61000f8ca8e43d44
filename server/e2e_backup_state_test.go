package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server/backup"
	"ironman/wal/digest"
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

// TestBackupStateVerified: a point whose files have all of their bytes, and are no state, or another than
// it says, is not whole.
func TestBackupStateVerified(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/node")
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	for i := range 100 {
		c.must(t, 200, "PUT", fmt.Sprintf("/box/%d", i), content(uint64(i), 100))
	}
	fs := vfs.NewMem()
	to := backup.OpenDirectory(fs, "/backup")
	point := p.backupTo(t, to).Point
	wholeBackup(t, to, 1)
	name := backup.PointName(point.Seq)
	old := readAt(t, fs, name)
	damaged := func(how, from, into string) {
		t.Helper()
		body := bytes.ReplaceAll(old[:len(old)-65], []byte(from), []byte(into))
		sum := digest.SHA256(body)
		writeAt(t, fs, name, fmt.Appendf(body, "%x\n", sum))
		r, err := backup.Verify{Target: to}.Run(t.Context())
		if err != nil || len(r.Points) != 1 || !r.Damaged(point.Seq) {
			t.Errorf("%s: %+v %v", how, r, err)
		}
	}
	damaged("another digest", point.State.Digest, strings.Repeat("0", 64))
	hurt := 0
	for _, f := range point.State.Files {
		if strings.HasSuffix(f.Name, ".sst") {
			b := bytes.Clone(readAt(t, fs, "files/"+f.Sum[:2]+"/"+f.Sum))
			b[len(b)/2] ^= 1
			sum := digest.SHA256(b)
			now := fmt.Sprintf("%x", sum)
			if err := to.Put(t.Context(), "files/"+now[:2]+"/"+now, backup.Content{Size: int64(len(b)), Sum: sum, Open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(b)), nil
			}}); err != nil {
				t.Fatal(err)
			}
			damaged("a table that is none", f.Sum, now)
			hurt++
		}
	}
	if hurt == 0 {
		t.Error("the state has no table: the test proves little")
	}
	writeAt(t, fs, name, old)
	wholeBackup(t, to, 1)
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
