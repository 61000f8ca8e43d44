package crash

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/sim/disk"
)

// leftovers tells what the disks of a node hold that nobody needs any more (I8).
func leftovers(files *disk.Disk) (err error) {
	snapshots := make(map[string]bool)
	for _, f := range files.Files("/") {
		name := path.Base(f.Path)
		if strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".new") || strings.Contains(f.Path, "/tmp-") {
			err = errors.Join(err, fmt.Errorf("I8: %s is left", f.Path))
		}
		if below, ok := strings.CutPrefix(f.Path, nodeDir+"/wal/snapshots/"); ok {
			name, _, _ := strings.Cut(below, "/")
			snapshots[name] = true
		}
	}
	if len(snapshots) > 1 {
		err = errors.Join(err, fmt.Errorf("I8: %d snapshots are left", len(snapshots)))
	}
	return errors.Join(err, packsLeft(files))
}

// packsLeft tells of packs without live shards that an older start of the node made:
// those were sealed when this one began.
func packsLeft(files vfs.FS) (err error) {
	var fatal error
	m, err := fsm.Open(fsm.Options{FS: files, Dir: nodeDir + "/state", Fatal: func(err error) { fatal = errors.Join(fatal, err) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fatal, m.Close()) }()
	v, err := m.View()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	disks, err := v.Disks()
	if err != nil {
		return err
	}
	for _, d := range disks {
		rows, err := v.Packs(d.Number)
		if err != nil {
			return err
		}
		var live []string
		for _, r := range rows {
			if r.Row.LiveShards > 0 {
				live = append(live, fmt.Sprintf("%016x-%08x.pack", r.ID.Incarnation, r.ID.Counter))
			}
		}
		dir := diskDir(int(d.Slot)) + "/packs"
		names, err := files.List(dir)
		if err != nil {
			return err
		}
		if err := comparePacks(dir, names, live); err != nil {
			return err
		}
	}
	return nil
}

func comparePacks(dir string, names, live []string) (err error) {
	newest := ""
	for _, name := range append(slices.Clone(names), live...) {
		newest = max(newest, name[:16])
	}
	for _, name := range names {
		if !slices.Contains(live, name) && name[:16] != newest {
			err = errors.Join(err, fmt.Errorf("I8: %s/%s is left", dir, name))
		}
	}
	for _, name := range live {
		if !slices.Contains(names, name) {
			err = errors.Join(err, fmt.Errorf("I7: %s/%s is gone", dir, name))
		}
	}
	return err
}
