package erasure

import (
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
)

// appendRequest is a whole shard that waits for its place.
type appendRequest struct {
	spec   ShardSpec
	cells  []Cell
	length uint64 // of the record
	done   func(Place, error)
}

// openPack is a shared pack that takes appends.
type openPack struct {
	key  PackKey
	file vfs.File
	size uint64
	tail uint64 // end of what was ever written behind the header
}

// free returns where the next group would begin, and the bytes left from there.
func (p *openPack) free() (at, n uint64) {
	at = (p.tail + blockBytes - 1) &^ (blockBytes - 1)
	return at, p.size - min(at, p.size)
}

// appender is the one writer of the shared packs of a disk (of one kind). It
// gathers the requests that wait, lays them out one behind the other from a
// fresh block on, writes them, syncs once, and tells each its place: one
// fdatasync serves all that came while the last one ran.
//
// A group never shares a block with an older one, so that no write, torn or
// not, touches a block that holds acknowledged bytes.
type appender struct {
	d    *localDisk
	fill bool // packs are zero-filled; a group is one write

	mu     sync.RWMutex // guards closed against submit
	closed bool
	queue  chan *appendRequest
	ended  chan struct{}

	// Of the one goroutine.
	cur      *openPack
	supplier *supplier
	carry    *appendRequest // taken from the queue, for the next group
	group    []byte
}

const (
	queueLength = 256
	// groupBytes bounds a group: what comes later waits for the next sync.
	groupBytes  = 512 << 10
	mediumGroup = 8 << 20
)

func newAppender(d *localDisk, fill bool) *appender {
	a := &appender{
		d: d, fill: fill,
		queue:    make(chan *appendRequest, queueLength),
		ended:    make(chan struct{}),
		supplier: newSupplier(d, fill),
	}
	if fill {
		a.supplier.order() // so that the first PUT need not wait for it
	}
	go a.run()
	return a
}

// submit queues a request and returns at once.
func (a *appender) submit(r *appendRequest) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.closed {
		r.done(Place{}, ErrClosed)
		return
	}
	select {
	case a.queue <- r:
	default:
		go a.submitSlow(r) // the disk lags: wait, but not in the caller
	}
}

func (a *appender) submitSlow(r *appendRequest) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.closed {
		r.done(Place{}, ErrClosed)
		return
	}
	a.queue <- r
}

// close answers what is queued, then ends the goroutines.
func (a *appender) close() {
	a.mu.Lock()
	a.closed = true
	close(a.queue)
	a.mu.Unlock()
	<-a.ended
}

func (a *appender) run() {
	defer close(a.ended)
	limit := uint64(mediumGroup)
	if a.fill {
		limit = groupBytes
	}
	for {
		batch := a.gather(limit)
		if batch == nil {
			break
		}
		a.commit(batch)
	}
	if a.cur != nil {
		a.retire()
	}
	a.supplier.close()
}

// gather waits for a request and takes those that wait with it; nil at the end.
func (a *appender) gather(limit uint64) []*appendRequest {
	first := a.carry
	a.carry = nil
	if first == nil {
		var ok bool
		if first, ok = <-a.queue; !ok {
			return nil
		}
	}
	batch, bytes := []*appendRequest{first}, first.length
	for {
		select {
		case r, ok := <-a.queue:
			if !ok {
				return batch
			}
			if bytes+r.length > limit {
				a.carry = r
				return batch
			}
			batch, bytes = append(batch, r), bytes+r.length
		default:
			return batch
		}
	}
}

// commit writes a batch, in as many groups as the packs' ends cut it into.
func (a *appender) commit(batch []*appendRequest) {
	for len(batch) > 0 {
		n, err := a.room(batch)
		if err == nil {
			a.write(batch[:n])
		} else {
			n = len(batch)
			for _, r := range batch {
				r.done(Place{}, err)
			}
		}
		batch = batch[n:]
	}
}

// room makes sure that the current pack takes the first request, and returns how
// many of the batch it takes.
func (a *appender) room(batch []*appendRequest) (n int, err error) {
	if err := a.d.failed(); err != nil {
		return 0, err
	}
	for {
		if a.cur != nil {
			_, free := a.cur.free()
			for n < len(batch) && batch[n].length <= free {
				free -= batch[n].length
				n++
			}
			if n > 0 {
				return n, nil
			}
			a.retire()
		}
		if a.cur, err = a.supplier.next(); err != nil {
			return 0, err
		}
	}
}

// retire seals the current pack.
func (a *appender) retire() {
	a.cur.file.Close() // every acknowledged byte is synced
	a.d.packs.seal(a.cur.key)
	a.cur = nil
}

// write writes one group, syncs, and answers its requests.
func (a *appender) write(group []*appendRequest) {
	p := a.cur
	at, _ := p.free()
	end := at
	for _, r := range group {
		end += r.length
	}
	a.d.packs.busy(p.key, len(group))
	err := a.d.call(func() error {
		if a.fill {
			return a.writeWhole(p, at, group)
		}
		return a.writeParts(p, at, group)
	})
	// Even after a failure: what may have been written is not written again.
	p.tail = end
	if err == nil && !sabotage.On(sabotage.X05) {
		if err = a.d.call(p.file.SyncData); err != nil {
			err = a.d.fail(err)
		}
	} else {
		err = a.d.wrote(err)
	}
	a.d.packs.busy(p.key, -len(group))
	a.d.space.wrote(int(end - at))
	for _, r := range group {
		if err != nil {
			r.done(Place{}, err)
		} else {
			r.done(Place{Pack: p.key, Offset: at}, nil)
		}
		at += r.length
	}
	if p.tail > p.size/2 {
		a.supplier.order()
	}
}

// writeWhole writes a group at once, up to the end of its last block, so that
// the page cache need not read what is there.
func (a *appender) writeWhole(p *openPack, at uint64, group []*appendRequest) error {
	b := a.group[:0]
	for _, r := range group {
		o := a.d.origin(Place{Pack: p.key, Offset: at + uint64(len(b))})
		b = appendRecord(b, r, &o)
	}
	whole := (len(b) + blockBytes - 1) &^ (blockBytes - 1)
	b = extend(b, whole-len(b))
	a.group = b
	_, err := p.file.WriteAt(b, int64(at))
	return err
}

// extend appends n zeros.
func extend(b []byte, n int) []byte {
	b = slices.Grow(b, n)
	clear(b[len(b) : len(b)+n])
	return b[:len(b)+n]
}

// appendRecord appends the bytes of a shard that will lie at o.
func appendRecord(b []byte, r *appendRequest, o *origin) []byte {
	start := len(b)
	b = extend(b, shardHeaderBytes)
	encodeShard(b[start:], &r.spec, o)
	for i := range r.cells {
		c := &r.cells[i]
		head := len(b)
		b = extend(b, cellHeaderBytes)
		encodeCell(b[head:], &r.spec, o, o.offset+uint64(head-start), c)
		b = append(b, c.Body...)
	}
	return b
}

// writeParts writes a group piece by piece, without a copy of the bodies.
func (a *appender) writeParts(p *openPack, at uint64, group []*appendRequest) error {
	for _, r := range group {
		o := a.d.origin(Place{Pack: p.key, Offset: at})
		head := extend(a.group[:0], shardHeaderBytes)
		encodeShard(head, &r.spec, &o)
		for i := range r.cells {
			c := &r.cells[i]
			n := len(head)
			head = extend(head, cellHeaderBytes)
			encodeCell(head[n:], &r.spec, &o, at+uint64(n), c)
			if err := writeAll(p.file, at, head, c.Body); err != nil {
				return err
			}
			at += uint64(len(head) + len(c.Body))
			a.group, head = head, head[:0]
		}
		if len(r.cells) == 0 {
			if err := writeAll(p.file, at, head); err != nil {
				return err
			}
			at += uint64(len(head))
		}
	}
	return nil
}

// writeAll writes the parts one behind the other.
func writeAll(f vfs.File, at uint64, parts ...[]byte) error {
	for _, p := range parts {
		if _, err := f.WriteAt(p, int64(at)); err != nil {
			return err
		}
		at += uint64(len(p))
	}
	return nil
}
