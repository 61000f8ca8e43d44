package erasure

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
)

// streamBehind is how much a stream writes before it asks the disk to begin
// writing it out, so that the sync at the end finds little to do.
const streamBehind = 16 << 20

// packStream is a shard in a pack of its own. It is a ShardStream.
type packStream struct {
	d      *localDisk
	spec   ShardSpec
	origin origin
	file   vfs.File
	at     uint64 // end of what was written
	begun  uint64 // of which the disk was asked to write out
	next   uint32 // stripe
	plain  uint64 // of the stripes so far
	err    error  // the first; nothing is written after it
	head   [packHeaderBytes + shardHeaderBytes]byte
}

// Stream implements ShardTarget.
func (d *localDisk) Stream(spec ShardSpec) (ShardStream, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	select {
	case <-d.closing:
		return nil, ErrClosed
	default:
	}
	if err := errors.Join(d.failed(), d.room()); err != nil {
		return nil, err
	}
	key := d.nextPack()
	f, err := d.create(key)
	if err != nil {
		d.packs.seal(key)
		return nil, err
	}
	d.packs.busy(key, 1)
	t := &packStream{d: d, spec: spec, file: f, origin: d.origin(Place{Pack: key, Offset: packHeaderBytes})}
	encodePackHeader(t.head[:], packHeader{cluster: d.id.Cluster, disk: d.id.Disk, pack: key})
	encodeShard(t.head[packHeaderBytes:], &t.spec, &t.origin)
	if t.write(t.head[:]); t.err != nil {
		t.Abort()
		return nil, t.err
	}
	return t, nil
}

// write appends to the file, unless something failed before.
func (t *packStream) write(b []byte) {
	if t.err == nil {
		t.err = t.d.failed()
	}
	if t.err == nil {
		t.err = t.d.room() // it may be gone since the shard was begun
	}
	if t.err != nil {
		return
	}
	t.err = t.d.wrote(t.d.call(func() error {
		_, err := t.file.WriteAt(b, int64(t.at))
		return err
	}))
	t.at += uint64(len(b))
	t.d.space.wrote(len(b))
}

// WriteCell implements ShardStream.
func (t *packStream) WriteCell(c *Cell) error {
	full := t.spec.layout().Stripe()
	if c.Stripe != t.next || t.plain != uint64(t.next)*full || c.Plain == 0 || uint64(c.Plain) > full ||
		len(c.Body) != int(cellLength(uint32(t.spec.K), uint64(c.Plain))) {
		t.err = errors.Join(t.err, ErrInvalid)
		return t.err
	}
	head := t.head[:cellHeaderBytes]
	encodeCell(head, &t.spec, &t.origin, t.at, c)
	t.write(head)
	t.write(c.Body)
	t.next++
	t.plain += uint64(c.Plain)
	if t.err == nil && t.at-t.begun >= streamBehind {
		t.begun = t.at
		err := t.d.call(func() error {
			_, err := t.file.SyncTo(int64(t.at))
			return err
		})
		if err != nil {
			t.err = t.d.fail(err)
		}
	}
	return t.err
}

// Commit implements ShardStream: footer, file, directory, in this order.
func (t *packStream) Commit(size uint64) (Place, error) {
	if t.plain != size || (t.spec.Size != UnknownSize && t.spec.Size != size) {
		t.err = errors.Join(t.err, ErrInvalid)
	}
	if t.spec.Size == UnknownSize {
		foot := t.head[:footerBytes]
		encodeFooter(foot, &t.spec, &t.origin, t.at, t.next, size)
		t.write(foot)
	}
	if t.err == nil && !sabotage.On(sabotage.X05) {
		if err := t.d.call(t.file.Sync); err != nil {
			t.err = t.d.fail(err)
		}
	}
	if t.err == nil {
		t.err = t.d.syncPacks()
	}
	t.Abort() // closes the file and seals the pack
	return Place{Pack: t.origin.pack, Offset: t.origin.offset}, t.err
}

// Abort implements ShardStream. After Commit it does nothing.
func (t *packStream) Abort() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
		t.d.packs.seal(t.origin.pack)
	}
}
