package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

// Version returns one version of a key, current or not, which may be a marker; nil if
// there is none.
func (v *View) Version(bucket uint64, name string, id *event.Version) (*Object, error) {
	if id == nil {
		return nil, nil
	}
	o, err := v.Object(bucket, name)
	if err != nil || o != nil && o.Version.Same(id) {
		return o, err
	}
	return read[Object](v, versionKey(bucket, name, id))
}

// NullVersion returns a key's null version, which may be a marker; nil if there is none.
func (v *View) NullVersion(bucket uint64, name string) (*Object, error) {
	o, err := v.Object(bucket, name)
	if err != nil || o != nil && o.NullVersion {
		return o, err
	}
	id, err := read[event.Version](v, nullKey(bucket, name))
	if err != nil || id == nil {
		return nil, err
	}
	return read[Object](v, versionKey(bucket, name, id))
}

// Newest returns a key's newest version, which may be a marker; nil if there is none.
func (v *View) Newest(bucket uint64, name string) (*Object, error) {
	o, err := v.Object(bucket, name)
	if err != nil || o != nil {
		return o, err
	}
	return v.firstFrom(bucket, name, versionsOf(bucket, name))
}

// Older returns the version next to one of a key, going back; nil if there is none.
// The one that is named need not be there.
func (v *View) Older(bucket uint64, name string, id *event.Version) (*Object, error) {
	o, err := v.Object(bucket, name)
	if err != nil || o != nil && newer(id, o.Version) {
		return o, err
	}
	return v.firstFrom(bucket, name, append(versionKey(bucket, name, id), 0))
}

// Newer returns the version that came next after one of a key; nil if it is the
// newest. It reads the newer ones.
func (v *View) Newer(bucket uint64, name string, id *event.Version) (last *Object, err error) {
	o, err := v.Object(bucket, name)
	if err != nil {
		return nil, err
	}
	if o != nil && newer(o.Version, id) {
		last = o
	}
	c, err := v.walk(versionsOf(bucket, name))
	if err != nil {
		return nil, err
	}
	stop := versionKey(bucket, name, id)
	ok, err := c.seek(versionsOf(bucket, name))
	for ok && err == nil && bytes.Compare(c.key(), stop) < 0 {
		if last, _, err = decodeRow[Object](c.key(), c.value()); err == nil {
			ok, err = c.next()
		}
	}
	return last, errors.Join(err, c.close())
}

// maxCompletedSteps bounds how many newer versions a repeated completion is looked for behind.
const maxCompletedSteps = 1000

// Completed returns the version of a key that an upload became, current or not; nil if it
// is not there or more than 1,000 versions came since.
func (v *View) Completed(bucket uint64, name string, upload *event.Version) (*Object, error) {
	o, err := v.Object(bucket, name)
	if err != nil || o != nil && o.Upload.Same(upload) {
		return o, err
	}
	c, err := v.walk(versionsOf(bucket, name))
	if err != nil {
		return nil, err
	}
	o = nil
	stop := versionKey(bucket, name, upload) // what it became is newer than itself
	ok, err := c.seek(versionsOf(bucket, name))
	for n := 0; n < maxCompletedSteps && ok && err == nil && bytes.Compare(c.key(), stop) < 0; n++ {
		var at *Object
		if at, _, err = decodeRow[Object](c.key(), c.value()); err == nil {
			if at.Upload.Same(upload) {
				o = at
				break
			}
			ok, err = c.next()
		}
	}
	return o, errors.Join(err, c.close())
}

// newer tells whether a came after b in the log.
func newer(a, b *event.Version) bool {
	return a.GetSeq() > b.GetSeq() || a.GetSeq() == b.GetSeq() && a.GetOrdinal() > b.GetOrdinal()
}

// firstFrom returns a key's first row in the table of versions from one on.
func (v *View) firstFrom(bucket uint64, name string, from []byte) (o *Object, err error) {
	if v.next != present && v.next > 0 {
		// Those that came later are not seen: there may be any number of them.
		if newest := versionKey(bucket, name, &event.Version{Seq: v.next - 1, Ordinal: math.MaxUint32}); bytes.Compare(from, newest) < 0 {
			from = newest
		}
	}
	c, err := v.walk(versionsOf(bucket, name))
	if err != nil {
		return nil, err
	}
	ok, err := c.seek(from)
	if ok && err == nil {
		o, _, err = decodeRow[Object](c.key(), c.value())
	}
	return o, errors.Join(err, c.close())
}

// maxTagsSince bounds what TagsSince reads.
const maxTagsSince = 1000

// TagsSince returns all tags that rows of a version had from the view's moment on, as far
// as history tells: none twice in a row. ErrPastTooFar where these are too many.
func (v *View) TagsSince(bucket uint64, name string, id *event.Version) (all []*event.Tags, err error) {
	for _, row := range [][]byte{objectKey(bucket, name), versionKey(bucket, name, id)} {
		n := 0
		err := v.scan(historyKey(row, v.next), append(historyKey(row, math.MaxUint64), 0), func(_, b []byte) (bool, error) {
			if n++; n > maxTagsSince {
				return false, ErrPastTooFar
			}
			o, _, err := decodeRow[Object](row, b)
			if err != nil || !o.Version.Same(id) {
				return err == nil, err
			}
			if len(all) == 0 || !proto.Equal(all[len(all)-1], o.Tags) {
				all = append(all, o.Tags)
			}
			return true, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// VersionQuery asks for a page of a bucket's versions and markers: by key, ascending,
// and the newest of a key first.
type VersionQuery struct {
	Bucket uint64
	// As in ListQuery.
	Prefix, Delimiter, After string
	// With After: versions of that key that are older than this one come as well. It
	// need not be there any more.
	AfterVersion *event.Version
	Max          int // of versions, markers and common prefixes together
}

// VersionItem is one line: a version, a marker, or a common prefix.
type VersionItem struct {
	Key    string
	Object *Object // nil: Key is a common prefix
	Latest bool    // it is the newest of its key
}

// ListVersions returns a page and whether there is more. Its cost grows with what it
// returns, as that of ListObjects does.
func (v *View) ListVersions(q VersionQuery) (items []VersionItem, truncated bool, err error) {
	start, ok := (&ListQuery{Prefix: q.Prefix, Delimiter: q.Delimiter, After: q.After}).start()
	within := q.inside()
	if within {
		start, ok = q.After, true
	}
	if q.Max <= 0 || !ok {
		return nil, false, nil
	}
	w := &versionWalk{q: q}
	if err := w.open(v); err != nil {
		return nil, false, errors.Join(err, w.close())
	}
	if err = w.seek(start); err == nil && within {
		err = w.resume(v)
	}
	if err == nil {
		items, truncated, err = w.page()
	}
	if err := errors.Join(err, w.close()); err != nil {
		return nil, false, err
	}
	return items, truncated, nil
}

// inside tells whether the page begins inside the versions of a key.
func (q *VersionQuery) inside() bool {
	if q.AfterVersion == nil || q.After == "" || q.After < q.Prefix {
		return false
	}
	_, rolled := commonPrefix(q.After, q.Prefix, q.Delimiter)
	return !rolled
}

// versionWalk merges a bucket's current objects with its other versions.
type versionWalk struct {
	q                 VersionQuery
	objects, versions cursor
	// Where they stand; of one that is at its end, the name is nil.
	object, version []byte
	last            []byte // the key whose newest version was passed
}

func (w *versionWalk) open(v *View) (err error) {
	if w.objects, err = v.walk(objectKey(w.q.Bucket, w.q.Prefix)); err != nil {
		return err
	}
	w.versions, err = v.walk(versionsFrom(w.q.Bucket, w.q.Prefix))
	return err
}

func (w *versionWalk) close() error {
	var errs []error
	for _, c := range []cursor{w.objects, w.versions} {
		if c != nil {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(errs...)
}

// versionsFrom begins the versions of every key that begins with prefix.
func versionsFrom(bucket uint64, prefix string) []byte {
	b := versionsOf(bucket, prefix)
	return b[:len(b)-2] // without the end mark
}

// seek goes to the first row of the first key at or above start.
func (w *versionWalk) seek(start string) error {
	return errors.Join(
		w.stand(w.objects.seek(objectKey(w.q.Bucket, start))),
		w.standVersion(w.versions.seek(versionsFrom(w.q.Bucket, start))),
	)
}

// stand notes where the objects stand.
func (w *versionWalk) stand(ok bool, err error) error {
	w.object = nil
	if ok && err == nil {
		w.object = append([]byte{}, w.objects.key()[1+8:]...)
	}
	return err
}

// standVersion notes where the versions stand.
func (w *versionWalk) standVersion(ok bool, err error) error {
	w.version = nil
	if !ok || err != nil {
		return err
	}
	name, _, whole := cutEscaped(w.versions.key()[1+8:])
	if !whole || len(name) == 0 {
		return fmt.Errorf("fsm: version %x: %w", w.versions.key(), event.ErrMalformed)
	}
	w.version = name
	return nil
}

// resume passes over the versions of the key After that are not older than AfterVersion.
func (w *versionWalk) resume(v *View) error {
	newest, err := v.Newest(w.q.Bucket, w.q.After)
	if err != nil || newest == nil {
		return err
	}
	if newer(w.q.AfterVersion, newest.Version) {
		return nil // all are older
	}
	w.last = []byte(w.q.After)
	if string(w.object) == w.q.After {
		if err := w.stand(w.objects.next()); err != nil {
			return err
		}
	}
	return w.standVersion(w.versions.seek(append(versionKey(w.q.Bucket, w.q.After, w.q.AfterVersion), 0)))
}

// page reads from where the walk stands.
func (w *versionWalk) page() (items []VersionItem, truncated bool, err error) {
	for w.object != nil || w.version != nil {
		if len(items) == w.q.Max {
			return items, true, nil
		}
		isObject := w.version == nil || w.object != nil && bytes.Compare(w.object, w.version) <= 0
		name := string(w.version)
		if isObject {
			name = string(w.object)
		}
		if p, is := commonPrefix(name, w.q.Prefix, w.q.Delimiter); is {
			items = append(items, VersionItem{Key: p})
			end := after([]byte(p))
			if end == nil {
				return items, false, nil
			}
			if err := w.seek(string(end)); err != nil {
				return nil, false, err
			}
			continue
		}
		it, err := w.read(name, isObject)
		if err != nil {
			return nil, false, err
		}
		items = append(items, it)
	}
	return items, false, nil
}

// read reads the row that comes next and goes on behind it.
func (w *versionWalk) read(name string, isObject bool) (VersionItem, error) {
	c := w.versions
	if isObject {
		c = w.objects
	}
	o, _, err := decodeRow[Object](c.key(), c.value())
	if err != nil {
		return VersionItem{}, err
	}
	it := VersionItem{Key: name, Object: o, Latest: w.last == nil || string(w.last) != name}
	w.last = append(w.last[:0], name...)
	if isObject {
		return it, w.stand(c.next())
	}
	return it, w.standVersion(c.next())
}

// Holdings returns an account's quota and what all its buckets hold, as of now in
// every view; nil if it never had a quota.
func (v *View) Holdings(canonicalID string) (*Holdings, error) {
	return read[Holdings](v, keyText(tableHoldings, canonicalID))
}
