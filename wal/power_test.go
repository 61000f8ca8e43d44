package wal

import (
	"math/rand/v2"
	"sync"

	"ironman/sim/disk"
)

// powerDisk is a simulated disk whose power can be cut.
type powerDisk struct{ *disk.Disk }

func newPowerDisk() *powerDisk { return &powerDisk{disk.New(nil, disk.Config{})} }

// cut is the disk after the power was cut now. Of what was not synced about percent
// are there, and between nothing and all some of the rest is torn or garbage.
func (d *powerDisk) cut(percent int, rng *rand.Rand) *powerDisk {
	loss := disk.Keep(percent)
	if percent > 0 && percent < 100 {
		loss.Torn, loss.Garbage = 0.3, 0.2
	}
	return &powerDisk{d.Cut(rng, loss)}
}

// listen has before told of each operation that changes or syncs something, one at a
// time; its error fails it.
func (d *powerDisk) listen(before func(op string) error) {
	if before == nil {
		d.Watch(disk.Hooks{})
		return
	}
	var mu sync.Mutex
	d.Watch(disk.Hooks{Before: func(op disk.Op) error {
		mu.Lock()
		defer mu.Unlock()
		op.Mark = 0
		return before(op.String())
	}})
}

// leave leaves that much free.
func (d *powerDisk) leave(free uint64) {
	v := d.Volume("/")
	v.SetCapacity(v.Used() + free)
}
