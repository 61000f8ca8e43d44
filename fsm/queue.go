package fsm

import (
	"encoding/binary"
	"errors"
	"sort"
	"time"

	"ironman/wal/event"
)

// BucketEntry is one bucket of a listing.
type BucketEntry struct {
	Name string
	Row  *BucketName
}

// ListBuckets returns an owner's buckets above a name, by name, at most max.
func (v *View) ListBuckets(owner, prefix, above string, max int) ([]BucketEntry, error) {
	if max <= 0 {
		return nil, nil
	}
	start := prefix
	if above != "" && above >= prefix {
		start = above + "\x00"
	}
	c, err := v.walk(keyText(tableBucketName, prefix))
	if err != nil {
		return nil, err
	}
	var out []BucketEntry
	ok, err := c.seek(keyText(tableBucketName, start))
	for ok && err == nil && len(out) < max {
		n, _, failed := decodeRow[BucketName](c.key(), c.value())
		if failed != nil {
			return nil, errors.Join(failed, c.close())
		}
		if n.Owner == owner {
			out = append(out, BucketEntry{Name: string(c.key()[1:]), Row: n})
		}
		ok, err = c.next()
	}
	return out, errors.Join(err, c.close())
}

// AllBuckets returns a page of the buckets of all owners above a name, by name.
func (v *View) AllBuckets(above string, max int) ([]*BucketEntry, bool, error) {
	return page(v, []byte{byte(tableBucketName)}, above, max, func(name string, value []byte) (*BucketEntry, error) {
		row, _, err := decodeRow[BucketName](keyText(tableBucketName, name), value)
		return &BucketEntry{Name: name, Row: row}, err
	})
}

// Due returns bodies that may be released at a log time, at most max of them.
func (v *View) Due(now int64, max int) (blobs []*event.BlobID, assemblies []*event.Version, err error) {
	if now < 0 || max <= 0 {
		return nil, nil, nil
	}
	err = v.scan(key(tableRelease), key(tableRelease, uint64(now)+1), func(k, _ []byte) (bool, error) {
		id := k[10:]
		switch {
		case k[9] == releaseBlob && len(id) == 16:
			blobs = append(blobs, event.BlobIDFromKey([16]byte(id)))
		case k[9] == releaseAssembly && len(id) == 12:
			assemblies = append(assemblies, &event.Version{Seq: binary.BigEndian.Uint64(id), Ordinal: binary.BigEndian.Uint32(id[8:])})
		}
		return len(blobs)+len(assemblies) < max, nil
	})
	return blobs, assemblies, err
}

// PackEntry is a pack that the state machine knows.
type PackEntry struct {
	ID  *event.PackID
	Row *Pack
}

// Packs returns the packs of a disk that have, or had, live shards.
func (v *View) Packs(disk uint32) ([]PackEntry, error) {
	var out []PackEntry
	prefix := key32(tablePack, disk)
	err := v.scan(prefix, after(prefix), func(k, b []byte) (bool, error) {
		p, _, err := decodeRow[Pack](k, b)
		id := &event.PackID{Incarnation: binary.BigEndian.Uint64(k[5:]), Counter: binary.BigEndian.Uint64(k[13:])}
		out = append(out, PackEntry{ID: id, Row: p})
		return true, err
	})
	return out, err
}

// ReleasedPacks returns packs of a disk that are released and that an incarnation
// below the given one made, at most max of them.
func (v *View) ReleasedPacks(disk uint32, incarnation uint64, max int) ([]*event.PackID, error) {
	var out []*event.PackID
	lower, upper := packKey(disk, nil), packKey(disk, &event.PackID{Incarnation: incarnation})
	err := v.scan(lower, upper, func(k, b []byte) (bool, error) {
		p, _, err := decodeRow[Pack](k, b)
		if p.GetReleased() {
			out = append(out, &event.PackID{Incarnation: binary.BigEndian.Uint64(k[5:]), Counter: binary.BigEndian.Uint64(k[13:])})
		}
		return len(out) < max, err
	})
	return out, err
}

// Pack returns what is live in a pack; nil if no shard was ever named in it.
func (v *View) Pack(disk uint32, id *event.PackID) (*Pack, error) {
	return read[Pack](v, packKey(disk, id))
}

// SeqAt returns the sequence of the first event at or after a log time in whole
// seconds since the Unix epoch; the present's if there is none.
func (v *View) SeqAt(second int64) (uint64, error) {
	seq := v.applied.Next
	err := v.scan(key(tableTime, uint64(max(second, 0))), after(key(tableTime)), func(_, b []byte) (bool, error) {
		if len(b) == 8 {
			seq = binary.BigEndian.Uint64(b)
		}
		return false, nil
	})
	return seq, err
}

// SecondOf returns the log time of an event, in whole seconds since the Unix epoch. It
// takes a seek for each bit of the present's.
func (v *View) SecondOf(seq uint64) (int64, error) {
	var failed error
	second := sort.Search(int(v.applied.Time/int64(time.Second)), func(s int) bool {
		first, err := v.SeqAt(int64(s) + 1)
		failed = errors.Join(failed, err)
		return first > seq
	})
	return int64(second), failed
}
