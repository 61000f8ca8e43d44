package wal

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskReserve is what a snapshot that is received must leave free: the log and the
// state go on growing beside it.
const diskReserve = 256 << 20

// spool is the temporary directory of a snapshot that another node sends. What is
// in it is durable when the stream has ended, but for the directories.
type spool struct {
	store   *snapshotStore
	want    *snapshotMeta // what raft was told; applied is the stream's to tell
	decoder *streamDecoder

	// repeated: this node has the snapshot already and only agrees with it.
	repeated bool
	dir      string // "" until the head was read
	file     vfs.File
}

func newSpool(s *snapshotStore, want *snapshotMeta) *spool {
	p := &spool{store: s, want: want}
	p.decoder = newStreamDecoder(p)
	return p
}

// begin refuses what this node must not take, before any of it is stored.
func (p *spool) begin(h *streamHead) (err error) {
	s, m := p.store, h.meta
	switch {
	case s.verify == nil:
		return errors.New("this node cannot verify snapshots, and so exchanges none")
	case !bytes.Equal(h.identity, s.identity()):
		return fmt.Errorf("it is of another cluster: %x, not %x", h.identity, s.identity())
	case m.index != p.want.index || m.term != p.want.term || m.configIndex != p.want.configIndex:
		return fmt.Errorf("it is of entry %d of term %d with the configuration of entry %d, not of %d, %d, %d",
			m.index, m.term, m.configIndex, p.want.index, p.want.term, p.want.configIndex)
	case m.applied < m.index:
		return fmt.Errorf("its state stands at entry %d, before its own index", m.applied)
	}
	p.want.applied = m.applied
	if p.repeated, err = s.judge(snapshotID{Index: m.index, Term: m.term}); err != nil || p.repeated {
		return err
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err == nil && usage.AvailBytes < h.bytes+diskReserve { // else the file system cannot tell
		return fmt.Errorf("its %d bytes do not fit: %d are free, of which %d must stay so", h.bytes, usage.AvailBytes, int64(diskReserve))
	}
	p.dir = s.temporary()
	return s.fs.MkdirAll(s.fs.PathJoin(p.dir, stateName), 0o700)
}

func (p *spool) newFile(name string, _ uint64) (err error) {
	if p.repeated {
		return nil
	}
	fs := p.store.fs
	p.file, err = fs.Create(fs.PathJoin(p.dir, stateName, name), vfs.WriteCategoryUnspecified)
	return err
}

func (p *spool) block(b []byte) error {
	if p.repeated {
		return nil
	}
	_, err := p.file.Write(b)
	return err
}

func (p *spool) endFile() error {
	if p.repeated {
		return nil
	}
	f := p.file
	p.file = nil
	return errors.Join(f.Sync(), f.Close())
}

// drop removes what came. A snapshot that was published is not in dir any more.
func (p *spool) drop() error {
	var err error
	if p.file != nil {
		err = p.file.Close()
		p.file = nil
	}
	if p.dir == "" {
		return err
	}
	return errors.Join(err, p.store.fs.RemoveAll(p.dir))
}
