package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server/backup"
)

// TestBackupDamage: whatever is flipped, cut off or removed in a target, a verification
// names it and the points that are not whole any more.
func TestBackupDamage(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/node")
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	fs := vfs.NewMem()
	to := backup.OpenDirectory(fs, "/backup")
	for round := range 2 {
		for i := range 300 {
			c.must(t, 200, "PUT", fmt.Sprintf("/box/%d-%d", round, i), bytes.Repeat([]byte{byte(i), byte(round)}, 300))
		}
		p.backupTo(t, to)
	}
	wholeBackup(t, to, 2)
	points, err := backup.Points(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	items, err := to.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	hurt := make(map[string]int)
	for range 300 {
		item := items[random.IntN(len(items))]
		damage := []string{"flip", "flip", "cut", "remove"}[random.IntN(4)]
		if item.Size == 0 { // nothing else can be done to it
			damage = "remove"
		}
		kind, _, _ := strings.Cut(item.Name, "/")
		if kind == "points" && damage == "remove" { // then there was none
			continue
		}
		old := readAt(t, fs, item.Name)
		writeAt(t, fs, item.Name, hurtFile(random, old, damage))
		r, err := backup.Verify{Target: to}.Run(t.Context())
		if err != nil {
			t.Fatalf("%s of %s: %v", damage, item.Name, err)
		}
		named, whole := false, true
		for _, x := range r.Problems {
			named = named || x.Name == item.Name || strings.HasPrefix(item.Name, x.Name) || strings.Contains(x.Text, item.Name)
			whole = whole && len(x.Points) == 0
		}
		if !named || whole {
			t.Errorf("%s of %s (%d bytes): the verification says %+v", damage, item.Name, item.Size, r.Problems)
		}
		if r.Damaged(points[0]) && r.Damaged(points[1]) {
			hurt["both"]++
		} else {
			hurt["one"]++
		}
		hurt[kind]++
		writeAt(t, fs, item.Name, old)
		quick, err := backup.Verify{Target: to, Quick: true}.Run(t.Context())
		if err != nil || len(quick.Problems) > 0 {
			t.Fatalf("a quick verification of a whole target: %+v %v", quick, err)
		}
	}
	wholeBackup(t, to, 2)
	for _, kind := range []string{"both", "one", "ledger", "files", "packs", "points"} {
		if hurt[kind] == 0 {
			t.Errorf("of kind %s nothing was damaged: %v", kind, hurt)
		}
	}
}

func hurtFile(random *rand.Rand, old []byte, how string) []byte {
	switch how {
	case "remove":
		return nil
	case "cut":
		return append([]byte{}, old[:random.IntN(len(old))]...)
	}
	b := bytes.Clone(old)
	b[random.IntN(len(b))] ^= 1 << random.IntN(8)
	return b
}

func readAt(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open("/backup/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// writeAt replaces a file; nil: it is removed.
func writeAt(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	if b == nil {
		if err := fs.Remove("/backup/" + name); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := fs.Create("/backup/"+name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(bytes.Clone(b))
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
