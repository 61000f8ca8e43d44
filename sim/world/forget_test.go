package world

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestForgetWhileHung takes a node's log away while its disk hangs, which must not make
// the world wait: whoever would have the disk go on waits for the node.
func TestForgetWhileHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newWorld(Config{Seed: 1}, Outlets{}).node(1)
		const dir = volumeNode + "/dir"
		if err := n.disk.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"identity.json", "log"} {
			f, err := n.disk.Create(dir+"/"+name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		n.disk.Volume(volumeNode).Hang()
		n.mu.Lock()
		err := n.forget("identity.json")
		n.mu.Unlock()
		n.disk.Volume(volumeNode).Unhang()
		names, listErr := n.disk.List(dir)
		if err != nil || listErr != nil || !slices.Equal(names, []string{"identity.json"}) {
			t.Errorf("it keeps %q: %v, %v", names, err, listErr)
		}
	})
}
