package server_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// quiesce ends everything and lets all graces pass. Then nothing is left but what is
// referenced: no pack, no row, no other file.
func (w *collectorWorld) quiesce() {
	w.Helper()
	for _, r := range w.reads {
		w.finish(r)
	}
	w.reads = nil
	w.reboot(w.rng.IntN(2) == 0) // seals what was open, and gives up what was staged
	for range 8 {
		w.clock.advance(w.m.retention + w.m.grace + time.Minute)
		w.p.node.CollectForTest(w.Context())
		w.look()
		w.act()
	}
	for _, p := range w.packs {
		w.demand(p.Forget(w.Context()))
	}
	w.check(math.MaxInt)
	w.checkRows()
	w.checkFiles()
}

// checkRows demands the rows of what is referenced, and no others.
func (w *collectorWorld) checkRows() {
	w.Helper()
	var want, got []string
	for b := range w.m.referenced() {
		want = append(want, fmt.Sprint(b.blob.Id))
	}
	all, err := w.p.node.BlobsForTest()
	w.demand(err)
	for _, b := range all {
		got = append(got, fmt.Sprint(b.Id))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		w.Errorf("the blobs\n%v are known, and\n%v are referenced", got, want)
	}
	for disk := uint32(1); disk <= 6; disk++ {
		if _, released, err := w.p.node.PacksForTest(disk); err != nil || released != 0 {
			w.Errorf("disk %d: %d rows of released packs are left: %v", disk, released, err)
		}
	}
}

// checkFiles demands the packs of what is referenced, and no other file: but for those
// that are open for what comes next.
func (w *collectorWorld) checkFiles() {
	w.Helper()
	want := make(map[uint32]map[string]bool)
	for disk := uint32(1); disk <= 6; disk++ {
		want[disk] = map[string]bool{"/identity": true}
	}
	for p := range w.m.packs() {
		want[p.disk][fmt.Sprintf("/packs/%016x-%08x.pack", p.incarnation, p.number)] = true
	}
	for disk, want := range want {
		open, err := w.p.node.OpenPackFilesForTest(disk)
		w.demand(err)
		dir := fmt.Sprintf("/srv/disk%d", disk)
		got := make(map[string]bool)
		for _, f := range storedBelow(w, w.disk, dir) {
			name := strings.TrimPrefix(f, dir)
			if !open[strings.TrimPrefix(name, "/packs/")] {
				got[name] = true
			}
		}
		if !maps.Equal(got, want) {
			w.Errorf("disk %d holds\n%v, and what is referenced is in\n%v", disk, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
}

// storedBelow are the paths of all files below a directory.
func storedBelow(w *collectorWorld, fs vfs.FS, dir string) (all []string) {
	w.Helper()
	names, err := fs.List(dir)
	w.demand(err)
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		st, err := fs.Stat(path)
		w.demand(err)
		if st.IsDir() {
			all = append(all, storedBelow(w, fs, path)...)
		} else {
			all = append(all, path)
		}
	}
	return all
}
