package segment

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
	"ironman/wal/durable"
)

const (
	zeroBytes = 1 << 20
	// zeroSync bounds what one sync of the background has to write, so that it does
	// not hold up the appender's.
	zeroSync = 4 << 20
)

// errStopped ends the making of a file when the log closes.
var errStopped = errors.New("stopped")

// maker makes segment files: named, filled with zeros and durable, so that an
// append later writes to extents that exist. fallocate would not do: the first
// write to an unwritten extent needs a journal commit, which doubles its sync.
type maker struct {
	fs   vfs.FS
	dir  string
	rand io.Reader
}

// make creates the file of a new segment of size bytes. stop is asked between
// pieces. After an error the file is not to be used.
func (m *maker) make(id uint64, size int64, stop func() bool) (*file, error) {
	o := origin{id: id}
	for o.salt == 0 {
		var salt [8]byte
		if _, err := io.ReadFull(m.rand, salt[:]); err != nil {
			return nil, err
		}
		o.salt = binary.LittleEndian.Uint64(salt[:])
	}
	path := m.fs.PathJoin(m.dir, fileName(id))
	if err := m.fill(path, o, size, stop); err != nil {
		return nil, err
	}
	if !sabotage.On(sabotage.X02) {
		if err := durable.SyncDir(m.fs, m.dir); err != nil {
			return nil, err
		}
	}
	v, err := m.fs.OpenReadWrite(path, writeCategory)
	if err != nil {
		return nil, err
	}
	f := &file{origin: o, f: v, path: path, size: size, end: blockBytes}
	f.refs.Store(1)
	return f, nil
}

// fill writes the header and zeros. Create gives a new inode, whatever had the name.
func (m *maker) fill(path string, o origin, size int64, stop func() bool) error {
	v, err := m.fs.Create(path, writeCategory)
	if err != nil {
		return err
	}
	b := make([]byte, min(size, zeroBytes))
	for done, synced := int64(0), int64(0); done < size && err == nil; {
		if stop() {
			err = errStopped
			break
		}
		clear(b) // Write may have changed it
		if done == 0 {
			putHeader(b, o, size)
		}
		n := min(int64(len(b)), size-done)
		if _, err = v.Write(b[:n]); err != nil {
			break
		}
		if done += n; done-synced >= zeroSync && done < size {
			synced, err = done, v.SyncData()
		}
	}
	if err == nil {
		err = v.Sync()
	}
	return errors.Join(err, v.Close())
}

// keeper is the log's one goroutine: it makes the next segment file ahead of its
// use and unlinks retired ones. Retired files are not used again: what that saves
// in allocation it would cost in writing zeros over what they hold, and a fresh
// inode cannot hold old frames.
type keeper struct {
	maker
	size int64
	fail func(error) // never returns

	mu      sync.Mutex
	changed sync.Cond
	order   uint64 // id of the file to make; 0: none
	spare   *file
	full    bool     // the last attempt found no space; the appender tries next
	doomed  []uint64 // to unlink
	left    int      // of those that were ever doomed, how many are not durably gone
	gone    []uint64 // unlinked, durably
	busy    bool
	stopped bool
	dead    bool // fail was called
	done    chan struct{}
}

func newKeeper(m maker, size int64, fail func(error)) *keeper {
	k := &keeper{maker: m, size: size, fail: fail, done: make(chan struct{})}
	k.changed.L = &k.mu
	return k
}

// run works until stop.
func (k *keeper) run() {
	defer close(k.done)
	k.mu.Lock()
	defer k.mu.Unlock()
	defer func() {
		k.dead = !k.stopped
		k.changed.Broadcast()
	}()
	for !k.stopped {
		switch {
		case k.order != 0:
			k.makeSpare()
		case len(k.doomed) > 0:
			k.unlink()
		default:
			k.changed.Wait()
		}
	}
}

// unlocked runs f without the lock.
func (k *keeper) unlocked(f func()) {
	k.busy = true
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.busy = false
	}()
	f()
}

// makeSpare makes the file that was ordered. A full disk is no failure yet: the
// open segment may last until there is space again, and nothing was written that
// counts. The appender tries once more itself when it needs the file.
func (k *keeper) makeSpare() {
	id := k.order
	var made *file
	full := false
	k.unlocked(func() {
		f, err := k.make(id, k.size, k.stopping)
		switch {
		case err == nil:
			made = f
		case errors.Is(err, errStopped):
		case errors.Is(err, syscall.ENOSPC):
			full = true
			if err := k.fs.Remove(k.fs.PathJoin(k.dir, fileName(id))); err != nil && !missing(err) {
				k.fail(err)
			}
		default:
			k.fail(err)
		}
	})
	k.order, k.spare, k.full = 0, made, full
	k.changed.Broadcast()
}

// unlink removes the doomed files. An id is gone only once its name is durably gone:
// until then the manifest keeps it.
func (k *keeper) unlink() {
	ids := k.doomed
	k.doomed = nil
	k.unlocked(func() {
		for _, id := range ids {
			if err := k.fs.Remove(k.fs.PathJoin(k.dir, fileName(id))); err != nil && !missing(err) {
				k.fail(err)
			}
		}
		if err := durable.SyncDir(k.fs, k.dir); err != nil {
			k.fail(err)
		}
	})
	k.gone = append(k.gone, ids...)
	k.left -= len(ids)
	k.changed.Broadcast()
}

func (k *keeper) stopping() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopped
}

// ask orders the spare with the given id, if there is none, and dooms files.
func (k *keeper) ask(id uint64, doomed []uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.spare == nil && !k.full {
		k.order = id
	}
	k.doomed = append(k.doomed, doomed...)
	k.left += len(doomed)
	k.changed.Broadcast()
}

// unlinking tells whether doomed files are still there.
func (k *keeper) unlinking() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.left > 0
}

// take returns the spare, waiting for one that is being made; nil if there is none.
func (k *keeper) take() *file {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.order != 0 && !k.dead && !k.stopped {
		k.changed.Wait()
	}
	f := k.spare
	k.spare, k.full = nil, false
	return f
}

// unlinked returns the ids whose files are gone since the last call.
func (k *keeper) unlinked() []uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	gone := k.gone
	k.gone = nil
	return gone
}

// stop ends run and waits for it. The spare's file stays: it was never listed.
func (k *keeper) stop() error {
	k.mu.Lock()
	k.stopped = true
	k.changed.Broadcast()
	k.mu.Unlock()
	<-k.done
	if k.spare == nil {
		return nil
	}
	return k.spare.release()
}
