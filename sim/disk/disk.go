package disk

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Disk is the file systems of a machine, from one start of its process to the next.
type Disk struct {
	// volumes do not change; those further down come first.
	volumes []*Volume
	tally   *tally
	// ended is closed by Detach.
	ended chan struct{}

	mu       sync.Mutex
	rng      *rand.Rand
	latency  Latency
	hooks    Hooks
	detached bool
	// handles that are open, of this incarnation. Never walked but to be sorted.
	handles map[*file]struct{}
}

// Config of a disk.
type Config struct {
	Volumes []Mount
	Latency Latency
}

// Mount says where a volume is. There is always one at "/".
type Mount struct {
	Path string
	// Capacity in bytes; 0: without end, and the usage of it cannot be told.
	Capacity uint64
}

// New returns an empty disk. All its chances are drawn from rng, which is
// its own from now on; nil is a fixed seed.
func New(rng *rand.Rand, c Config) *Disk {
	if rng == nil {
		rng = rand.New(rand.NewPCG(1, 1))
	}
	d := &Disk{tally: new(tally), ended: make(chan struct{}), rng: rng, latency: c.Latency, handles: make(map[*file]struct{})}
	mounts := append([]Mount{{Path: "/"}}, c.Volumes...)
	for i, m := range mounts {
		m.Path = clean(m.Path)
		if i > 0 && m.Path == "/" {
			d.volumes[0].capacity = blocksOfCapacity(m.Capacity)
			continue
		}
		d.volumes = append(d.volumes, newVolume(d, m))
	}
	d.volumes = sortVolumes(d.volumes)
	for _, v := range slices.Backward(d.volumes) {
		v.mountPoint()
	}
	return d
}

func sortVolumes(list []*Volume) []*Volume {
	slices.SortFunc(list, func(a, b *Volume) int {
		return cmp.Or(len(b.path)-len(a.path), strings.Compare(a.path, b.path))
	})
	return list
}

// Watch has the hooks told of the operations from now on. Cut and Kill do not pass
// them on.
func (d *Disk) Watch(h Hooks) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hooks = h
}

// SetLatency is for operations that begin from now on.
func (d *Disk) SetLatency(l Latency) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latency = l
}

// Detach is for an incarnation that has ended: it goes on, alone, without hooks,
// faults or latency, and whoever waits for it no longer does.
func (d *Disk) Detach() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.detached {
		return
	}
	d.detached = true
	d.hooks = Hooks{}
	close(d.ended)
}

// Handles are the paths of the files and directories that are open, each as often as
// it is, sorted.
func (d *Disk) Handles() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	paths := make([]string, 0, len(d.handles))
	for f := range d.handles {
		paths = append(paths, f.path)
	}
	slices.Sort(paths)
	return paths
}

func (d *Disk) chance(p float64) bool { return p >= 1 || p > 0 && d.rng.Float64() < p }

// clean makes a name absolute: relative ones begin at "/".
func clean(name string) string {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	return path.Clean(name)
}

// volumeOf returns the volume of a clean path, under the lock.
func (d *Disk) volumeOf(name string) *Volume {
	for _, v := range d.volumes {
		if !v.unmounted && v.has(name) {
			return v
		}
	}
	return d.volumes[len(d.volumes)-1]
}

// do does one operation: it asks Before, draws what befalls it, waits, and calls act
// under the lock. at is the volume of an open file.
func (d *Disk) do(op Op, at *Volume, act func(*Volume, *Op, *verdict) error) error {
	return d.doFrom(op, at, nil, act)
}

// doFrom is do for an operation that is about how things are when it begins: begin is
// called under the lock before it waits.
func (d *Disk) doFrom(op Op, at *Volume, begin func(), act func(*Volume, *Op, *verdict) error) error {
	d.mu.Lock()
	if before := d.hooks.Before; before != nil && op.Kind.Changes() {
		d.mu.Unlock()
		if err := before(op); err != nil {
			return err
		}
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	v := at
	if v == nil {
		v = d.volumeOf(op.Path)
	}
	if begin != nil {
		begin()
	}
	var x verdict
	if !d.detached {
		x = v.judge(op)
		if x.wait != 0 || x.hang != nil {
			d.mu.Unlock()
			d.await(x)
			d.mu.Lock()
		}
	}
	if d.detached {
		x = verdict{}
	}
	err := v.refuses(op.Kind)
	if err == nil {
		err = act(v, &op, &x)
	}
	if x.hit != none && !x.fired {
		x.rule.struck--
	}
	d.observe(op, err)
	return wrap(op, err)
}

// fire tells whether a fault befalls the operation, and counts it.
func (d *Disk) fire(x *verdict, f Fault) bool {
	if x.hit != f {
		return false
	}
	x.fired = true
	d.tally[f].Add(1)
	return true
}

// fails is the error of a fault after which nothing is done.
func (d *Disk) fails(x *verdict) error {
	switch {
	case d.fire(x, WriteError), d.fire(x, ReadError):
		return syscall.EIO
	case d.fire(x, NoSpace):
		return syscall.ENOSPC
	}
	return nil
}

func (d *Disk) observe(op Op, err error) {
	if h := d.hooks; h.Observe != nil && (h.Reads || op.Kind.Changes()) {
		op.Err = err
		h.Observe(op)
	}
}

func wrap(op Op, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, vfs.ErrUnsupported) {
		return err
	}
	name := op.Path
	if op.To != "" {
		name += " " + op.To
	}
	return &fs.PathError{Op: op.Kind.String(), Path: name, Err: err}
}
