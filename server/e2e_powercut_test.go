package server_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/server"
)

// TestPowerCut cuts the power of a whole node under load, again and again: of log,
// state, ledger and disks only what was synced is left, directory entries
// included. Everything acknowledged before the cut is there.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	cuts := 4
	if testing.Short() {
		cuts = 1
	}
	keys := make([]*versions, 24)
	for i := range keys {
		keys[i] = &versions{name: fmt.Sprintf("/power/%d", i)}
	}
	for n := range cuts {
		// Not in directories that the test has made durable.
		p := openInProcess(t, disk, "/srv/data/store", func(o *server.Options) {
			o.SnapshotEntries, o.SegmentBytes, o.PackBytes = 30, 64<<10, 256<<10
			o.HistoryRetention = time.Second
		})
		c := p.client()
		if n == 0 {
			c.must(t, 200, "PUT", "/power", nil)
		}
		for _, k := range keys {
			k.check(t, c)
		}
		disk = loadAndCut(t, p, disk, keys, uint64(n))
		p.close(t)
	}
	c := openInProcess(t, disk, "/srv/data/store").client()
	for _, k := range keys {
		k.check(t, c)
	}
}

// versions is a key that one client at a time writes: version n is content(n), and
// nothing where n is a multiple of 5.
type versions struct {
	name    string
	begun   uint64 // the last that was sent
	acked   uint64 // the last that was acknowledged
	durable uint64 // the last that was acknowledged before the cut
}

func (k *versions) size(n uint64) int {
	return []int{100, 20_000, 100, 300_000, 1000, 0, 40_000, 100, 5 << 20, 70_000, 300}[n*2654435761>>8%11]
}

// write writes the next version.
func (k *versions) write(t *testing.T, c *client) {
	k.begun++
	if k.begun%5 == 0 {
		c.must(t, 204, "DELETE", k.name, nil)
	} else {
		c.must(t, 200, "PUT", k.name, content(k.begun, k.size(k.begun)))
	}
}

// check demands a version that was acknowledged before the cut, or a later one.
func (k *versions) check(t *testing.T, c *client) {
	t.Helper()
	a, err := c.try("GET", k.name, nil)
	if err != nil || a.status != 200 && a.status != 404 {
		t.Fatalf("%s: %v %v", k.name, a, err)
	}
	for n := k.durable; n <= k.begun; n++ {
		if n%5 == 0 && a.status == 404 || n%5 != 0 && a.status == 200 && bytes.Equal(a.body, content(n, k.size(n))) {
			k.begun, k.acked, k.durable = n, n, n
			return
		}
	}
	t.Fatalf("%s: %d, %d bytes: not one of the versions %d to %d", k.name, a.status, len(a.body), k.durable, k.begun)
}

// loadAndCut writes to all keys and, in the middle of it, takes what a power cut
// would leave.
func loadAndCut(t *testing.T, p *inProcess, disk *vfs.MemFS, keys []*versions, seed uint64) *vfs.MemFS {
	var mu sync.Mutex // held for an acknowledgement, and for the cut
	var writers sync.WaitGroup
	var left *vfs.MemFS
	acked, cutAt := 0, 60+int(seed)*29
	const clients = 8
	for w := range clients {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			c := p.client()
			for !t.Failed() {
				k := keys[rng.IntN(len(keys)/clients)*clients+w]
				k.write(t, c)
				mu.Lock()
				k.acked = k.begun
				acked++
				if acked == cutAt {
					for _, k := range keys {
						k.durable = k.acked
					}
					left = disk.CrashClone(vfs.CrashCloneCfg{})
				}
				over := acked >= cutAt
				mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	writers.Wait()
	return left
}

// TestFirstStartIsCut cuts the power during the first start, which makes
// everything there is, before every few operations of it: the next start goes on.
func TestFirstStartIsCut(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	cuts := cutsOf(t, mem, func(fs vfs.FS) { openFirst(t, fs, "").close(t) })
	step := 5
	if testing.Short() {
		step = 25
	}
	for i := 0; i < len(cuts); i += step {
		p := openFirst(t, cuts[i].left, cuts[i].before)
		c := p.client()
		c.must(t, 200, "PUT", "/first", nil)
		c.must(t, 200, "PUT", "/first/object", content(1, 100_000))
		p.close(t)
	}
}

func openFirst(t *testing.T, fs vfs.FS, after string) *inProcess {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("the power was cut before %q", after)
		}
	}()
	return openInProcess(t, fs, "/srv/data", func(o *server.Options) { o.SegmentBytes, o.PackBytes = 32<<10, 32<<10 })
}

// powerCut is what is left when the power is cut before an operation.
type powerCut struct {
	before string
	left   *vfs.MemFS
}

// cutsOf are the cuts before every operation of a script that changes the disk.
func cutsOf(t *testing.T, mem *vfs.MemFS, script func(vfs.FS)) (cuts []powerCut) {
	var mu sync.Mutex
	script(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			cuts = append(cuts, powerCut{fmt.Sprint(op.Kind, " ", op.Path), mem.CrashClone(vfs.CrashCloneCfg{})})
		}
		return nil
	})))
	if len(cuts) < 100 {
		t.Fatalf("only %d operations", len(cuts))
	}
	return cuts
}
