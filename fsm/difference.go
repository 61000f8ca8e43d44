package fsm

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"ironman/wal/event"
)

// DifferenceQuery asks which keys of a bucket are not what they were, in byte order.
type DifferenceQuery struct {
	Bucket uint64
	Source uint64 // the bucket whose past it is: mostly the same
	To     uint64 // the moment: the events below this sequence
	Prefix string
	After  string // only keys above it; "": from the first
	// Max bounds the differences that are found, Looks the keys that are looked at.
	Max, Looks int
}

// Difference is a key whose current object is not what it was.
type Difference struct {
	Key  string
	Kind event.RestoredKind // what a restore would do to it
	Now  *Object            // nil: none
	Then *Object            // nil: none
	// Changed is the event that last changed the key; 0 if history tells of none.
	Changed uint64
}

// Differences is a page of them.
type Differences struct {
	Found  []Difference
	Looked int    // keys that were looked at
	After  string // the last of them
	More   bool   // there may be keys above it
}

// Differences compares the current objects of a bucket with what a bucket's were. Its
// cost grows with the keys that it looks at: those that are there, and those that were.
func (v *View) Differences(q DifferenceQuery) (d *Differences, err error) {
	past, err := v.AtIn(q.Source, q.To)
	if err != nil {
		return nil, err
	}
	var all unionOfNames
	defer func() { err = errors.Join(err, all.close()) }()
	start := max(q.Prefix, q.After)
	for _, bucket := range []uint64{q.Bucket, q.Source} {
		if err := all.add(v, objectKey(bucket, q.Prefix), objectKey(bucket, start)); err != nil {
			return nil, err
		}
		if bucket == q.Source {
			break
		}
	}
	prefix := historyPrefix(objectKey(q.Source, q.Prefix))
	if err := all.add(v, prefix, historyPrefix(objectKey(q.Source, start))); err != nil {
		return nil, err
	}
	d = &Differences{After: q.After}
	for {
		name, ok := all.next()
		switch {
		case !ok:
			d.More = false
			return d, all.err()
		case name == q.After && q.After != "":
			continue
		case len(d.Found) == q.Max || d.Looked == q.Looks:
			d.More = true
			return d, nil
		}
		x, err := v.difference(past, q, name)
		if err != nil {
			return nil, err
		}
		if d.Looked, d.After = d.Looked+1, name; x != nil {
			d.Found = append(d.Found, *x)
		}
	}
}

// difference compares one key; nil if it is as it was.
func (v *View) difference(past *View, q DifferenceQuery, name string) (*Difference, error) {
	now, err := v.Object(q.Bucket, name)
	if err != nil {
		return nil, err
	}
	then, err := past.Object(q.Source, name)
	if err != nil {
		return nil, err
	}
	kind := restoring(now, then)
	if kind == event.RestoredKind_RESTORED_KIND_UNSPECIFIED {
		return nil, nil
	}
	d := &Difference{Key: name, Kind: kind, Now: now, Then: then}
	d.Changed, err = v.lastChange(q.Bucket, name)
	if err != nil || then == nil {
		return d, err
	}
	removed, err := v.lastRemoval(q.Source, name, then.Version)
	d.Changed = max(d.Changed, removed)
	return d, err
}

// lastChange is tx.lastChange, in a view of the present.
func (v *View) lastChange(bucket uint64, name string) (uint64, error) {
	seq, err := v.lastWrite(objectKey(bucket, name))
	if err != nil {
		return 0, err
	}
	c, err := v.walk(versionsOf(bucket, name))
	if err != nil {
		return 0, err
	}
	ok, err := c.seek(versionsOf(bucket, name))
	if ok && err == nil {
		seq = max(seq, writtenBy(c.value()))
	}
	return seq, errors.Join(err, c.close())
}

// lastRemoval is tx.lastRemoval, in a view of the present.
func (v *View) lastRemoval(bucket uint64, name string, id *event.Version) (uint64, error) {
	k := versionKey(bucket, name, id)
	if b, err := v.raw(k); b != nil || err != nil {
		return 0, err
	}
	return v.lastWrite(k)
}

// SettingsChanged tells when a bucket's own row, and its document of a kind, were last
// written or deleted, in a view of the present; 0 if history does not tell.
func (v *View) SettingsChanged(bucket uint64, kind event.DocumentKind) (row, document uint64, err error) {
	row, err1 := v.lastWrite(key(tableBucket, bucket))
	document, err2 := v.lastWrite(documentKey(bucket, kind))
	return row, document, errors.Join(err1, err2)
}

// lastWrite is the event that last wrote or deleted a row of a historical table; 0 if history
// tells of none.
func (v *View) lastWrite(k []byte) (seq uint64, err error) {
	b, closer, err := v.snap.Get(k)
	if err == nil {
		seq = writtenBy(b)
		return seq, closer.Close()
	}
	if !errors.Is(err, pebble.ErrNotFound) {
		return 0, err
	}
	it, err := v.iterate(historyOf(k))
	if err != nil {
		return 0, err
	}
	if it.Last() {
		seq = supersededBy(it.Key())
	}
	return seq, errors.Join(it.Error(), it.Close())
}

// unionOfNames walks the names of objects in several ranges of rows, in byte order,
// each once.
type unionOfNames struct {
	ranges []*nameRange
}

// nameRange walks the names of objects in one range: of rows, or of their history.
type nameRange struct {
	it   *pebble.Iterator
	name string // where it stands
	ok   bool
}

// add adds the rows that begin with prefix, from start on.
func (u *unionOfNames) add(v *View, prefix, start []byte) error {
	it, err := v.iterate(prefix)
	if err != nil {
		return err
	}
	r := &nameRange{it: it}
	u.ranges = append(u.ranges, r)
	it.SeekGE(start)
	r.settle()
	return nil
}

func (r *nameRange) settle() {
	if r.ok = r.it.Valid(); !r.ok {
		return
	}
	k := r.it.Key()
	if tableOf(k) == tableHistory {
		k, _, r.ok = cutEscaped(k[1:])
	}
	if r.ok {
		r.name = string(k[1+8:])
	}
}

// next is the smallest name, and passes over it.
func (u *unionOfNames) next() (name string, ok bool) {
	for _, r := range u.ranges {
		if r.ok && (!ok || r.name < name) {
			name, ok = r.name, true
		}
	}
	for _, r := range u.ranges {
		if ok && r.ok && r.name == name {
			r.pass()
		}
	}
	return name, ok
}

// pass goes to the next name. A key's history is passed over by one seek.
func (r *nameRange) pass() {
	k := r.it.Key()
	if tableOf(k) == tableHistory {
		r.it.SeekGE(after(k[:len(k)-8]))
	} else {
		r.it.Next()
	}
	r.settle()
}

func (u *unionOfNames) err() error {
	var errs []error
	for _, r := range u.ranges {
		errs = append(errs, r.it.Error())
	}
	return errors.Join(errs...)
}

func (u *unionOfNames) close() error {
	var errs []error
	for _, r := range u.ranges {
		errs = append(errs, r.it.Close())
	}
	return errors.Join(errs...)
}
