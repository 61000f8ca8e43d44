package disk

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

func openPebble(t testing.TB, d *Disk) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("/node/state", &pebble.Options{
		FS: d, MemTableSize: 64 << 10, L0CompactionThreshold: 2, Logger: quiet{},
		FormatMajorVersion: pebble.FormatNewest, WALBytesPerSync: 4096, BytesPerSync: 16 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// Pebble finds after any cut all that it has acknowledged with a sync, and nothing
// that was not written.
func TestPebble(t *testing.T) {
	for _, loss := range []Loss{Keep(0), Keep(50), Keep(100), {Blocks: 0.3, Sizes: 0.5, Entries: 0.5, Torn: 0.4, Garbage: 0.3}} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			d := New(rng, Config{Volumes: []Mount{{Path: "/node", Capacity: 64 << 20}}})
			written, synced := 0, 0
			for range 6 {
				db := openPebble(t, d)
				found := checkPebble(t, db)
				if found < synced || found > written {
					t.Fatalf("found %d, %d were synced and %d written", found, synced, written)
				}
				written, synced = found, found
				for range 100 + rng.IntN(300) {
					sync := rng.IntN(4) == 0
					if err := db.Set([]byte(fmt.Sprintf("%08d", written)), value(written), &pebble.WriteOptions{Sync: sync}); err != nil {
						t.Fatal(err)
					}
					written++
					if sync {
						synced = written
					}
				}
				next := d.Cut(rng, loss)
				d.Detach()
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				d = next
			}
		})
	}
}

func value(i int) []byte {
	b := make([]byte, 1000)
	rng := rand.New(rand.NewPCG(uint64(i), 1))
	scribble(rng, b)
	return b
}

// checkPebble returns how many rows there are: the first ones, without a gap.
func checkPebble(t *testing.T, db *pebble.DB) int {
	t.Helper()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if string(it.Key()) != fmt.Sprintf("%08d", n) || string(it.Value()) != string(value(n)) {
			t.Fatalf("row %d is %s", n, it.Key())
		}
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}
