package durable

import (
	"testing"

	"ironman/sim/disk"
)

// TestMakeDirAgain: a process that is killed while it makes a directory leaves
// some that are there and not durable. The next one makes them so.
func TestMakeDirAgain(t *testing.T) {
	const dir = "/srv/data/node"
	d := disk.New(nil, disk.Config{})
	var left []*disk.Disk
	var before []disk.Op
	d.Watch(disk.Hooks{Before: func(op disk.Op) error {
		left, before = append(left, d.Kill()), append(before, op)
		return nil
	}})
	if err := MakeDir(d, dir, 0o700); err != nil {
		t.Fatal(err)
	}
	left, before = append(left, d.Kill()), append(before, disk.Op{})
	for i, d := range left {
		if err := MakeDir(d, dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Cut(nil, disk.Keep(0)).Stat(dir); err != nil {
			t.Errorf("killed before %q, then made, then without power: %v", before[i], err)
		}
	}
}
