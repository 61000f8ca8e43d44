package server_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

func chaosDiskFaults() []chaosFault {
	short := [2]time.Duration{300 * ms, 5 * time.Second}
	marked := func(mark string) func(*chaos, *chaosAction, *rand.Rand) {
		return func(c *chaos, a *chaosAction, rng *rand.Rand) { c.atDisk(a, rng, c.mark(a, mark)) }
	}
	return []chaosFault{
		{id: "D3", name: "reads, writes and syncs of shards fail", weight: 1, lasts: short, where: aDisk, unsure: true, do: marked(".sick")},
		{id: "D3", name: "reads, writes and syncs of log and state fail", weight: 1, lasts: short, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.markNode(a, ".sick")
		}},
		{id: "D6", name: "shards rot", weight: 3, where: aBadDisk, unsure: true, do: (*chaos).rot},
		{id: "D9", name: "a disk is full", weight: 1, lasts: short, where: aDisk, unsure: true, do: marked(".full")},
		{id: "D9", name: "the disk of log and state is full", weight: 1, lasts: short, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.markNode(a, ".full")
		}},
		{id: "D11", name: "a disk vanishes", weight: 1, lasts: short, where: aDisk, unsure: true, do: func(c *chaos, a *chaosAction, rng *rand.Rand) {
			c.atDisk(a, rng, c.vanish(a, false))
		}},
		{id: "D11", name: "an empty directory is where a disk was", weight: 1, lasts: short, where: aDisk, unsure: true, do: func(c *chaos, a *chaosAction, rng *rand.Rand) {
			c.atDisk(a, rng, c.vanish(a, true))
		}},
		{id: "D11", name: "a disk is read-only", weight: 1, lasts: short, where: aDisk, unsure: true, do: marked(".readonly")},
	}
}

// atDisk lets something befall a disk, while its node runs or while it is down, for a
// while, and restarts the node when that is over: a disk that has failed is used again
// from a start on. A disk at which another fault is already is left alone.
func (c *chaos) atDisk(a *chaosAction, rng *rand.Rand, begin func() (end func(), err error)) {
	n := c.chaosNodes[a.node]
	n.mu.Lock()
	taken := n.busy[a.disk]
	n.busy[a.disk] = true
	n.mu.Unlock()
	if taken {
		return
	}
	defer func() {
		n.mu.Lock()
		n.busy[a.disk] = false
		n.mu.Unlock()
	}()
	n.excuse(a.fault.name) // not to end cleanly
	down := rng.IntN(2) == 0
	if down {
		n.hold()
		n.kill()
	}
	end, err := begin()
	if err != nil {
		c.violated("D11", "%v: %v", a, err)
	} else {
		c.fired(a.fault.id, a.fault.name)
	}
	if down {
		n.release()
	}
	time.Sleep(a.lasts)
	if end != nil {
		end()
	}
	n.bounce()
	n.pardon(a.fault.name)
}

// mark makes a disk fail in one of the ways that a process can be told.
func (c *chaos) mark(a *chaosAction, mark string) func() (end func(), err error) {
	path := c.chaosNodes[a.node].p.disks[a.disk] + mark
	return func() (func(), error) {
		return func() { c.must(a, os.Remove(path)) }, os.WriteFile(path, nil, 0o600)
	}
}

// markNode makes the directory of log and state fail: the process has to end, and to
// stay down for as long as that lasts.
func (c *chaos) markNode(a *chaosAction, mark string) {
	n := c.chaosNodes[a.node]
	n.mu.Lock()
	taken := n.marked
	n.marked = true
	n.mu.Unlock()
	if taken {
		return
	}
	path := n.p.dir + mark
	n.excuse(a.fault.name)
	c.must(a, os.WriteFile(path, nil, 0o600))
	c.fired(a.fault.id, a.fault.name)
	time.Sleep(a.lasts)
	c.must(a, os.Remove(path))
	n.mu.Lock()
	n.marked = false
	n.mu.Unlock()
	n.pardon(a.fault.name)
}

// vanish takes a disk's directory away, and may leave an empty one in its place. When
// it comes back nothing may have been made there: an empty place is not an empty disk.
func (c *chaos) vanish(a *chaosAction, empty bool) func() (end func(), err error) {
	dir := c.chaosNodes[a.node].p.disks[a.disk]
	away := dir + ".away"
	return func() (func(), error) {
		if _, err := os.Stat(dir); err != nil {
			return nil, nil // it was never made yet
		}
		if err := os.Rename(dir, away); err != nil {
			return nil, err
		}
		end := func() {
			if what := contentOf(dir); what != "" {
				c.violated("I9", "%v: %s was made where the disk was missing", a, what)
			}
			c.must(a, os.RemoveAll(dir))
			c.must(a, os.Rename(away, dir))
		}
		if empty {
			return end, os.Mkdir(dir, 0o700)
		}
		return end, nil
	}
}

// contentOf names a file below dir; empty if there is none.
func contentOf(dir string) (found string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // dir may be missing
		if err == nil && !d.IsDir() {
			found = path
		}
		return nil
	})
	return found
}

// must reports a fault of the harness itself.
func (c *chaos) must(a *chaosAction, err error) {
	if err != nil {
		c.Errorf("%v: %v", a, err)
	}
}

// rot flips bits in packs of a disk.
func (c *chaos) rot(a *chaosAction, rng *rand.Rand) {
	dir := c.chaosNodes[a.node].p.disks[a.disk]
	packs, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		return
	}
	for range 1 + rng.IntN(6) {
		err := flipBit(packs[rng.IntN(len(packs))], rng)
		switch {
		case err == nil:
			c.fired(a.fault.id, a.fault.name)
			c.damaged[a.node].Store(true)
		case !errors.Is(err, errNothingThere) && !errors.Is(err, fs.ErrNotExist):
			c.must(a, err)
		}
	}
}

var errNothingThere = errors.New("no bytes were written there")

// flipBit flips a bit of a file, in a block that was written: what is not zero.
func flipBit(path string, rng *rand.Rand) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b := make([]byte, 512)
	for range 50 {
		if info.Size() < int64(len(b)) {
			break
		}
		at := rng.Int64N(info.Size()/int64(len(b))) * int64(len(b))
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		if len(bytes.Trim(b, "\x00")) == 0 {
			continue
		}
		i := rng.IntN(len(b))
		if _, err := f.WriteAt([]byte{b[i] ^ 1<<rng.IntN(8)}, at+int64(i)); err != nil {
			return err
		}
		return f.Sync()
	}
	return errNothingThere
}
