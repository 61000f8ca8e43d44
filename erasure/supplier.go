package erasure

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// supplier prepares the next pack of an appender while the current one fills.
// The first pack of a start is small, so that the start is fast; each one after
// is four times as large, up to the configured size.
type supplier struct {
	d    *localDisk
	fill bool

	orders chan struct{}
	packs  chan supply

	// Of the appender's goroutine.
	ordered bool // an order was given whose pack was not taken yet
}

type supply struct {
	pack *openPack
	err  error
}

func newSupplier(d *localDisk, fill bool) *supplier {
	s := &supplier{d: d, fill: fill, orders: make(chan struct{}, 1), packs: make(chan supply, 1)}
	go s.run()
	return s
}

// order asks for a pack, once.
func (s *supplier) order() {
	if !s.ordered {
		s.ordered = true
		s.orders <- struct{}{}
	}
}

// next takes a prepared pack, or waits for it. An error that was waiting may be
// an old one (the disk was full), so it tries once more.
func (s *supplier) next() (*openPack, error) {
	for attempt := 0; ; attempt++ {
		s.order()
		got := <-s.packs
		s.ordered = false
		if got.err == nil || attempt > 0 {
			return got.pack, got.err
		}
	}
}

// close ends the goroutine and closes what nobody took.
func (s *supplier) close() {
	close(s.orders)
	for got := range s.packs {
		if got.err == nil {
			s.discard(got.pack)
		}
	}
}

// discard lets go of a pack that will not be used; the file stays.
func (s *supplier) discard(p *openPack) {
	p.file.Close()
	s.d.packs.seal(p.key)
}

// run prepares one pack per order. A pack that could not be finished because
// the disk was full is gone on with at the next order: no second one is begun.
func (s *supplier) run() {
	defer close(s.packs)
	var begun *preparation
	size := s.d.firstPack
	for range s.orders {
		var err error
		if begun == nil {
			begun, err = s.begin(size)
		}
		if err == nil {
			err = begun.finish(s)
		}
		if err != nil {
			s.packs <- supply{err: err}
			continue
		}
		s.packs <- supply{pack: begun.pack}
		begun, size = nil, min(4*size, s.d.packSize)
	}
	if begun != nil {
		s.discard(begun.pack)
	}
}

// preparation is a pack whose file exists.
type preparation struct {
	pack    *openPack
	written uint64 // bytes written from the start
	synced  bool
}

// fillStep is how much is written between two syncs while zero-filling: little
// enough that an append beside it does not wait long.
const fillStep = 4 << 20

func (s *supplier) begin(size uint64) (*preparation, error) {
	if err := errors.Join(s.d.failed(), s.d.room()); err != nil {
		return nil, err
	}
	key := s.d.nextPack()
	f, err := s.d.create(key)
	if err != nil {
		s.d.packs.seal(key)
		return nil, err
	}
	return &preparation{pack: &openPack{key: key, file: f, size: size, tail: packHeaderBytes}}, nil
}

// create makes the file of a new pack. The name is new: the counter is this
// incarnation's, and the disk was checked for packs of it.
func (d *localDisk) create(k PackKey) (f vfs.File, err error) {
	err = d.call(func() error {
		f, err = d.fs.OpenReadWrite(d.packs.path(k), writeCategory)
		return err
	})
	return f, d.wrote(err)
}

// finish writes the header and, if asked for, zeros up to the size; then makes
// file and directory entry durable.
func (p *preparation) finish(s *supplier) error {
	if err := errors.Join(s.d.failed(), s.d.room()); err != nil {
		return err
	}
	if p.written == 0 {
		if err := s.d.wrote(s.d.call(func() error { return s.head(p.pack) })); err != nil {
			return err
		}
		p.written = packHeaderBytes
	}
	if s.fill {
		if err := p.zeros(s); err != nil {
			return err
		}
	}
	if !p.synced {
		if err := s.d.call(p.pack.file.Sync); err != nil {
			return s.d.fail(err)
		}
		p.synced = true
	}
	return s.d.syncPacks()
}

// head writes the header block and, where zeros are not, reserves the space.
func (s *supplier) head(p *openPack) error {
	block := make([]byte, packHeaderBytes)
	encodePackHeader(block, packHeader{cluster: s.d.id.Cluster, disk: s.d.id.Disk, pack: p.key, size: p.size})
	if !s.fill {
		// An allocation in one piece is only a favour to the disk.
		if err := p.file.Preallocate(0, int64(p.size)); noSpace(err) {
			return err
		}
		s.d.space.wrote(int(p.size))
	}
	_, err := p.file.WriteAt(block, 0)
	return err
}

// zeros fills the pack from where it is.
func (p *preparation) zeros(s *supplier) error {
	block := make([]byte, min(p.pack.size, 1<<20))
	for p.written < p.pack.size {
		select {
		case <-s.d.closing:
			return ErrClosed
		default:
		}
		n := min(uint64(len(block)), p.pack.size-p.written)
		err := s.d.call(func() error {
			_, err := p.pack.file.WriteAt(block[:n], int64(p.written))
			return err
		})
		if err != nil {
			return s.d.wrote(err)
		}
		if (p.written+n)/fillStep != p.written/fillStep {
			if err := s.d.call(p.pack.file.SyncData); err != nil {
				return s.d.fail(err)
			}
		}
		p.written += n
		s.d.space.wrote(int(n))
		if err := s.d.room(); err != nil {
			return err
		}
	}
	return nil
}
