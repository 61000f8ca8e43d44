package server

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func testMark(seq uint64) restoreMark {
	return restoreMark{Format: restoreMarkFormat, Cluster: "00", Origin: "ironman/00/1", Seq: seq, Began: time.Unix(1_800_000_000, 0).UTC()}
}

// TestRestoreMark: a directory with the mark is no node's; one that is empty, or bears it, is
// restored into, and nothing else; one restoration at a time.
func TestRestoreMark(t *testing.T) {
	fs := vfs.NewMem()
	before, unlock, err := occupy(fs, "/node", testMark(7))
	if err != nil || before != nil {
		t.Fatal(before, err)
	}
	o := &Options{FS: fs, Dir: "/node"}
	if err := refuseRestoring(o); err == nil || !strings.Contains(err.Error(), "restore-cluster again") || !strings.Contains(err.Error(), "2027-01-15") {
		t.Error(err)
	}
	if _, _, err := occupy(fs, "/node", testMark(7)); err == nil || !strings.Contains(err.Error(), "another restoration is under way") {
		t.Error(err)
	}
	if err := unlock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fs.MkdirAll("/node/state", 0o700); err != nil { // it was cut short
		t.Fatal(err)
	}
	before, unlock, err = occupy(fs, "/node", testMark(9))
	if err != nil || before == nil || before.Seq != 7 {
		t.Fatal(before, err)
	}
	if err := vacate(fs, "/node", unlock); err != nil {
		t.Fatal(err)
	}
	if err := refuseRestoring(o); err != nil {
		t.Error(err)
	}
	if names, err := fs.List("/node"); err != nil || !slices.Equal(names, []string{"state"}) {
		t.Error(names, err)
	}
	for range 2 { // also where the lock's file was left
		if _, _, err := occupy(fs, "/node", testMark(9)); err == nil || !strings.Contains(err.Error(), "is not empty") {
			t.Error(err)
		}
		if names, err := fs.List("/node"); err != nil || !slices.Equal(names, []string{"state"}) {
			t.Error(names, err)
		}
		if err := writeDurably(fs, "/node/"+restoreMarkLock, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := refuseRestoring(o); err != nil {
		t.Error(err)
	}
	if err := fs.MkdirAll("/disk/lost+found", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, unlock, err := occupy(fs, "/disk", testMark(9)); err != nil {
		t.Error("a file system of its own:", err)
	} else if err := unlock.Close(); err != nil {
		t.Error(err)
	}
	if err := writeDurably(fs, "/disk/"+restoreMarkFile, []byte(`{"format":2}`)); err != nil {
		t.Fatal(err)
	}
	if err := refuseRestoring(&Options{FS: fs, Dir: "/disk"}); err == nil || !strings.Contains(err.Error(), "not one that this release understands") {
		t.Error(err)
	}
	if _, _, err := occupy(fs, "/disk", testMark(9)); err == nil {
		t.Error("the mark of a newer release was overwritten")
	}
}

// watchedFS tells of a lock before it is taken, and of what is removed before it is.
type watchedFS struct {
	vfs.FS
	lock   func()
	remove func(name string)
}

func (w *watchedFS) Lock(name string) (io.Closer, error) {
	w.lock()
	return w.FS.Lock(name)
}

func (w *watchedFS) Remove(name string) error {
	w.remove(name)
	return w.FS.Remove(name)
}

// TestRestoreMarkTwoAtOnce: of two restorations of a directory the later one either finds the
// lock taken or no mark any more; it never takes the node that the first has made for remains.
func TestRestoreMarkTwoAtOnce(t *testing.T) {
	fs := vfs.NewMem()
	_, first, err := occupy(fs, "/node", testMark(7))
	if err != nil {
		t.Fatal(err)
	}
	late := &watchedFS{FS: fs, remove: func(string) {}, lock: func() { // the first ends while the second is about to lock
		if err := writeDurably(fs, "/node/identity.json", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		var removed []string
		w := &watchedFS{FS: fs, remove: func(name string) {
			removed = append(removed, name)
			if len(removed) > 1 {
				return
			}
			if _, _, err := occupy(fs, "/node", testMark(8)); err == nil || !strings.Contains(err.Error(), "another restoration is under way") {
				t.Errorf("while the mark was there: %v", err)
			}
		}}
		if err := vacate(w, "/node", first); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(removed, []string{"/node/" + restoreMarkFile, "/node/" + restoreMarkLock}) {
			t.Errorf("removed %q", removed)
		}
	}}
	if before, _, err := occupy(late, "/node", testMark(9)); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a node's directory is restored into: %v, %v", before, err)
	}
	if err := refuseRestoring(&Options{FS: fs, Dir: "/node"}); err != nil {
		t.Error(err)
	}
}

func TestNextOrigin(t *testing.T) {
	id := bytes.Repeat([]byte{0xab}, 16)
	for _, epoch := range []int{1, 9, 10} {
		if got, err := nextOrigin(id, ledgerOrigin(id, epoch)); err != nil || got != ledgerOrigin(id, epoch+1) {
			t.Errorf("behind %d: %q, %v", epoch, got, err)
		}
	}
	for _, origin := range []string{"", "ironman/", ledgerOrigin(id, 0), ledgerOrigin(id, -1), ledgerOrigin(id[:15], 1), ledgerOrigin(id, 1) + "x", strings.Replace(ledgerOrigin(id, 1), "/1", "/01", 1)} {
		if got, err := nextOrigin(id, origin); err == nil {
			t.Errorf("%q is followed by %q", origin, got)
		}
	}
}

// TestRenewedKeyring: only the ledger's key is another; what was sealed before opens.
func TestRenewedKeyring(t *testing.T) {
	first, err := newKeyring()
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := rotatedKeyring(first)
	if err != nil {
		t.Fatal(err)
	}
	oldest := []byte(oldKeyring())
	for _, b := range [][]byte{first, rotated, oldest} {
		old, err := parseKeyring(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := renewedKeyring(b)
		if err != nil {
			t.Fatal(err)
		}
		k, err := parseKeyring(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.print, old.print) || !slices.Equal(k.masters.IDs(), old.masters.IDs()) {
			t.Error("more than the ledger's key is another")
		}
		if k.signer.Equal(old.signer) {
			t.Error("the ledger's key is the old one")
		}
	}
	if _, err := renewedKeyring([]byte("{}")); err == nil {
		t.Error("of no keyring another was made")
	}
}
