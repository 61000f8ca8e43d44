package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// ErrTrimmed says that a view is asked for a moment whose history is gone, or
// that is not there yet.
var ErrTrimmed = errors.New("the state at that moment is not kept")

// View is what the state machine held at one moment. It must be closed, and is
// for one goroutine.
type View struct {
	snap    *pebble.Snapshot
	closed  func() // tells the machine
	next    uint64 // events below it are seen; present: all
	applied Applied
	steps   int
	whole   uint64 // of a view of the past: a bucket whose history was found whole; 0: none yet
}

// present is the next of a view that looks at no earlier moment.
const present = math.MaxUint64

// View returns the present state.
func (m *Machine) View() (*View, error) {
	snap, closed := m.snapshot()
	v := &View{snap: snap, closed: closed, next: present}
	meta, err := read[Meta](v, key(tableMeta))
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	v.applied = meta.applied()
	return v, nil
}

// ViewAt returns the state that the events below next made; ErrTrimmed if it is
// not kept. Buckets, their
// documents and objects are read as of then; identities, uploads, blobs and
// topology as of now, because access is judged by the present and history holds
// references to today's blobs.
func (m *Machine) ViewAt(next uint64) (*View, error) {
	v, err := m.View()
	if err != nil {
		return nil, err
	}
	past, err := v.At(next)
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return past, nil
}

// At is ViewAt in the snapshot that v looks at, so that the two differ in their moment
// alone. One of them is closed, and then neither is used any more. Of buckets whose own
// retention is shorter, reading fails with ErrTrimmed where they are not kept.
func (v *View) At(next uint64) (*View, error) {
	oldest, err := v.Oldest()
	return v.at(next, oldest, err)
}

// Close releases the view.
func (v *View) Close() error {
	defer v.closed()
	return v.snap.Close()
}

// Applied is the moment of the state under the view (not the moment it looks at).
func (v *View) Applied() Applied { return v.applied }

// Next is the moment it looks at: events below it are seen.
func (v *View) Next() uint64 { return min(v.next, v.applied.Next) }

// Steps counts the iterator steps the view has made.
func (v *View) Steps() int { return v.steps }

// raw reads a row's bytes; nil if there is none.
func (v *View) raw(key []byte) ([]byte, error) {
	b, closer, err := v.snap.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		b, err = nil, nil
	} else if err == nil {
		b = append(make([]byte, 0, len(b)), b...)
		err = closer.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("fsm: %w", err)
	}
	if v.next == present || !tableOf(key).historical() {
		return b, nil
	}
	if tableOf(key) == tableBucketName {
		return v.pastName(key, b)
	}
	if err := v.kept(key); err != nil {
		return nil, err
	}
	if seen(b, v.next) || sabotage.On(sabotage.X72) {
		return b, nil
	}
	return v.superseded(key)
}

// superseded finds what a row held at the view's moment in history.
func (v *View) superseded(key []byte) ([]byte, error) {
	prefix := historyKey(key, 0)
	prefix = prefix[:len(prefix)-8]
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: historyKey(key, v.next), UpperBound: after(prefix)})
	if err != nil {
		return nil, fmt.Errorf("fsm: %w", err)
	}
	var b []byte
	v.steps++
	if it.First() {
		if h := it.Value(); seen(h, v.next) {
			b = bytes.Clone(h)
		}
	}
	return b, errors.Join(it.Error(), it.Close())
}

// read reads a row; nil if there is none.
func read[T any, P message[T]](v *View, key []byte) (P, error) {
	b, err := v.raw(key)
	if err != nil || b == nil {
		return nil, err
	}
	p, _, err := decodeRow[T, P](key, b)
	return p, err
}

// scan calls f for each row from lower up to upper until it says stop. f must
// not keep what it is given.
func (v *View) scan(lower, upper []byte, f func(key, value []byte) (bool, error)) error {
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("fsm: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v.steps++
		more, err := f(it.Key(), it.Value())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if !more {
			break
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// Cluster returns what genesis fixed; nil before it.
func (v *View) Cluster() (*Cluster, error) { return read[Cluster](v, key(tableCluster)) }

// Node returns a node; nil if there is none.
func (v *View) Node(n uint32) (*Node, error) { return read[Node](v, key32(tableNode, n)) }

// Nodes returns every node that was ever added or started, ascending by number.
func (v *View) Nodes() ([]*Node, error) {
	var out []*Node
	prefix := []byte{byte(tableNode)}
	err := v.scan(prefix, after(prefix), func(k, b []byte) (bool, error) {
		n, _, err := decodeRow[Node](k, b)
		out = append(out, n)
		return true, err
	})
	return out, err
}

// Disk returns a disk by its number; nil if there is none.
func (v *View) Disk(number uint32) (*Disk, error) { return read[Disk](v, key32(tableDisk, number)) }

// Disks returns all disks by number.
func (v *View) Disks() ([]*Disk, error) {
	var disks []*Disk
	err := v.scan(key(tableDisk), after(key(tableDisk)), func(k, b []byte) (bool, error) {
		d, _, err := decodeRow[Disk](k, b)
		disks = append(disks, d)
		return true, err
	})
	return disks, err
}

// Account returns an account by canonical id; nil if there is none.
func (v *View) Account(canonicalID string) (*Account, error) {
	return read[Account](v, keyText(tableAccount, canonicalID))
}

// AccountByID returns an account by its 12 digits; nil if there is none.
func (v *View) AccountByID(id string) (*Account, error) {
	return v.accountBy(keyText(tableAccountID, id))
}

// AccountByEmail returns an account by its e-mail address; nil if there is none.
func (v *View) AccountByEmail(address string) (*Account, error) {
	return v.accountBy(keyText(tableEmail, address))
}

func (v *View) accountBy(k []byte) (*Account, error) {
	id, err := v.raw(k)
	if err != nil || id == nil {
		return nil, err
	}
	return v.Account(string(id))
}

// AccessKey returns an access key; nil if there is none.
func (v *View) AccessKey(id string) (*AccessKey, error) {
	return read[AccessKey](v, keyText(tableAccessKey, id))
}

// BucketByName returns a bucket; nil if there is none.
func (v *View) BucketByName(name string) (*Bucket, error) {
	n, err := read[BucketName](v, keyText(tableBucketName, name))
	if err != nil || n == nil {
		return nil, err
	}
	return v.Bucket(n.Bucket)
}

// Bucket returns a bucket by id; nil if there is none.
func (v *View) Bucket(id uint64) (*Bucket, error) { return read[Bucket](v, key(tableBucket, id)) }

// Buckets calls f for every bucket, by number, until it returns false.
func (v *View) Buckets(f func(*Bucket) bool) error {
	return v.scan(key(tableBucket), after(key(tableBucket)), func(k, b []byte) (bool, error) {
		row, _, err := decodeRow[Bucket](k, b)
		return err == nil && f(row), err
	})
}

// Document returns a bucket document; nil if there is none.
func (v *View) Document(bucket uint64, kind event.DocumentKind) (*Document, error) {
	return read[Document](v, documentKey(bucket, kind))
}

// Usage returns what a bucket holds now; zero for an empty or unknown one.
func (v *View) Usage(bucket uint64) (*Usage, error) {
	u, err := read[Usage](v, key(tableUsage, bucket))
	if u == nil && err == nil {
		u = &Usage{}
	}
	return u, err
}

// Object returns the current object of a key; nil if there is none.
func (v *View) Object(bucket uint64, name string) (*Object, error) {
	return read[Object](v, objectKey(bucket, name))
}

// Blob returns where a blob's shards are; nil if it is released.
func (v *View) Blob(id *event.BlobID) (*event.Blob, error) {
	r, err := read[BlobRow](v, blobKey(tableBlob, id))
	return r.GetBlob(), err
}

// Blobs calls f for every blob that events name, in the order of their ids, until it
// returns an error.
func (v *View) Blobs(f func(*event.Blob) error) error { return v.BlobsFrom(nil, f) }

// BlobsFrom is Blobs of those behind one; nil: of all.
func (v *View) BlobsFrom(after *event.BlobID, f func(*event.Blob) error) error {
	lower := key(tableBlob)
	if after != nil {
		lower = append(blobKey(tableBlob, after), 0)
	}
	return v.scan(lower, key(tableBlob+1), func(k, value []byte) (bool, error) {
		r, _, err := decodeRow[BlobRow](bytes.Clone(k), bytes.Clone(value))
		if err != nil {
			return false, err
		}
		return true, f(r.GetBlob())
	})
}

// Body returns an object's bytes as ranges of blobs, in order, and the parts it
// was completed of (nil if it was not a multipart upload).
func (v *View) Body(o *Object) ([]*event.Segment, []*PartInfo, error) {
	switch {
	case o.Blob != nil:
		return []*event.Segment{{Blob: o.Blob, Length: o.Size}}, nil, nil
	case o.Assembly != nil:
		a, err := read[Assembly](v, assemblyKey(o.Assembly))
		if err == nil && a == nil {
			err = fmt.Errorf("fsm: assembly %s of an object is missing", o.Assembly.ID())
		}
		return a.GetSegments(), a.GetParts(), err
	}
	return nil, nil, nil
}

// Upload returns an open multipart upload; nil if there is none.
func (v *View) Upload(bucket uint64, name string, id *event.Version) (*Upload, error) {
	u, err := read[Upload](v, uploadKey(bucket, name, id))
	if u != nil {
		u.Key = name
	}
	return u, err
}

// Part returns one part of an upload; nil if there is none.
func (v *View) Part(upload *event.Version, number uint32) (*Part, error) {
	return read[Part](v, partKey(upload, number))
}

// UploadPieces counts the pieces and bytes of all parts of an upload as apply does, one part
// in memory at a time, until there are more than limit pieces.
func (v *View) UploadPieces(upload *event.Version, limit int) (pieces int, stored uint64, err error) {
	prefix := appendVersion([]byte{byte(tablePart)}, upload)
	err = v.scan(prefix, after(prefix), func(k, b []byte) (bool, error) {
		p, _, err := decodeRow[Part](k, b)
		pieces += p.pieces()
		stored += p.GetSize()
		return pieces <= limit, err
	})
	return pieces, stored, err
}

// Parts returns the parts of an upload above a number, ascending, at most max.
func (v *View) Parts(upload *event.Version, above uint32, max int) ([]*Part, error) {
	var parts []*Part
	if max <= 0 || above == math.MaxUint32 {
		return nil, nil
	}
	upper := after(appendVersion([]byte{byte(tablePart)}, upload))
	err := v.scan(partKey(upload, above+1), upper, func(k, b []byte) (bool, error) {
		p, _, err := decodeRow[Part](k, b)
		parts = append(parts, p)
		return len(parts) < max, err
	})
	return parts, err
}
