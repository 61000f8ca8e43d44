package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// ListQuery asks for a page of a bucket's objects, in byte order of their keys.
type ListQuery struct {
	Bucket    uint64
	Prefix    string
	Delimiter string // may be longer than a byte; "": none
	// After: only keys (and common prefixes) above it. If it ends with the
	// delimiter below the prefix it stands for the whole common prefix.
	After string
	Max   int // of entries and common prefixes together
}

// Item is one line of a listing: an object, or a common prefix.
type Item struct {
	Key    string
	Object *Object // nil: Key is a common prefix
}

// Listing is a page.
type Listing struct {
	Items     []Item
	Truncated bool // there is at least one item more
}

// cursor walks the objects of a bucket that a view shows, by key.
type cursor interface {
	seek(name string) (bool, error) // to the first key >= name
	next() (bool, error)
	name() string
	object() (*Object, error)
	close() error
}

// ListObjects returns a page. Its cost grows with what it returns: a common
// prefix is one seek, whatever lies under it.
func (v *View) ListObjects(q ListQuery) (*Listing, error) {
	if q.Max <= 0 {
		return &Listing{}, nil
	}
	c, err := v.objects(q.Bucket, q.Prefix)
	if err != nil {
		return nil, err
	}
	l, err := listPage(c, q)
	return l, errors.Join(err, c.close())
}

func listPage(c cursor, q ListQuery) (*Listing, error) {
	l := &Listing{}
	ok, err := c.seek(q.start())
	for err == nil && ok {
		name := c.name()
		if !strings.HasPrefix(name, q.Prefix) {
			break
		}
		if len(l.Items) == q.Max {
			l.Truncated = true
			break
		}
		if p, is := q.commonPrefix(name); is {
			l.Items = append(l.Items, Item{Key: p})
			end := after([]byte(p))
			if end == nil {
				break
			}
			ok, err = c.seek(string(end))
			continue
		}
		var o *Object
		if o, err = c.object(); err == nil {
			l.Items = append(l.Items, Item{Key: name, Object: o})
			ok, err = c.next()
		}
	}
	return l, err
}

// start is the smallest key that may stand on the page.
func (q *ListQuery) start() string {
	if q.After < q.Prefix {
		return q.Prefix
	}
	if p, is := q.commonPrefix(q.After); is && p == q.After {
		if end := after([]byte(p)); end != nil {
			return string(end)
		}
	}
	return q.After + "\x00"
}

// commonPrefix rolls a key up to its first delimiter behind the prefix.
func (q *ListQuery) commonPrefix(name string) (string, bool) {
	if q.Delimiter == "" || len(name) < len(q.Prefix) {
		return "", false
	}
	i := strings.Index(name[len(q.Prefix):], q.Delimiter)
	if i < 0 {
		return "", false
	}
	return name[:len(q.Prefix)+i+len(q.Delimiter)], true
}

// objects opens a cursor over the keys of a bucket that begin with prefix.
func (v *View) objects(bucket uint64, prefix string) (cursor, error) {
	lower := objectKey(bucket, prefix)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return nil, fmt.Errorf("fsm: %w", err)
	}
	p := &presentCursor{v: v, it: it, bucket: bucket}
	if v.next == math.MaxUint64 {
		return p, nil
	}
	return v.pastObjects(p, bucket, prefix)
}

// presentCursor walks the table of current objects.
type presentCursor struct {
	v      *View
	it     *pebble.Iterator
	bucket uint64
}

func (c *presentCursor) seek(name string) (bool, error) {
	c.v.steps++
	return c.it.SeekGE(objectKey(c.bucket, name)), c.it.Error()
}

func (c *presentCursor) next() (bool, error) {
	c.v.steps++
	return c.it.Next(), c.it.Error()
}

func (c *presentCursor) name() string { return string(c.it.Key()[1+8:]) }

func (c *presentCursor) object() (*Object, error) {
	o, _, err := decodeRow[Object](c.it.Key(), c.it.Value())
	return o, err
}

func (c *presentCursor) close() error { return c.it.Close() }

// pastCursor merges current objects with those that history holds, and shows
// each key as it was at the view's moment.
type pastCursor struct {
	present *presentCursor
	history *pebble.Iterator
	at      string  // the key it stands on
	row     *Object // as of the view
}

func (v *View) pastObjects(p *presentCursor, bucket uint64, prefix string) (cursor, error) {
	lower := historyPrefix(objectKey(bucket, prefix))
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fsm: %w", err), p.close())
	}
	return &pastCursor{present: p, history: it}, nil
}

// historyPrefix begins the history of every row whose key begins with prefix.
func historyPrefix(prefix []byte) []byte {
	b := appendEscaped([]byte{byte(tableHistory)}, string(prefix))
	return b[:len(b)-2] // without the end mark
}

func (c *pastCursor) seek(name string) (bool, error) {
	if _, err := c.present.seek(name); err != nil {
		return false, err
	}
	c.present.v.steps++
	c.history.SeekGE(historyPrefix(objectKey(c.present.bucket, name)))
	return c.settle()
}

func (c *pastCursor) next() (bool, error) {
	if err := c.leave(); err != nil {
		return false, err
	}
	return c.settle()
}

// leave moves both iterators past the key they stand on.
func (c *pastCursor) leave() error {
	if c.present.it.Valid() && c.present.name() == c.at {
		if _, err := c.present.next(); err != nil {
			return err
		}
	}
	if name, ok := c.historyName(); ok && name == c.at {
		c.present.v.steps++
		k := historyKey(objectKey(c.present.bucket, c.at), math.MaxUint64)
		c.history.SeekGE(append(k, 0))
	}
	return c.history.Error()
}

// settle stops at the first key from here on that the view shows.
func (c *pastCursor) settle() (bool, error) {
	for {
		h, inHistory := c.historyName()
		switch {
		case c.present.it.Valid() && (!inHistory || c.present.name() <= h):
			c.at = c.present.name()
		case inHistory:
			c.at = h
		default:
			return false, errors.Join(c.present.it.Error(), c.history.Error())
		}
		row, err := c.resolve()
		if err != nil {
			return false, err
		}
		if c.row = row; row != nil {
			return true, nil
		}
		if err := c.leave(); err != nil {
			return false, err
		}
	}
}

// resolve is the row of the key it stands on as of the view; nil: none.
func (c *pastCursor) resolve() (*Object, error) {
	next := c.present.v.next
	if c.present.it.Valid() && c.present.name() == c.at {
		if b := c.present.it.Value(); len(b) >= fromBytes && binary.BigEndian.Uint64(b) < next {
			return c.present.object()
		}
	}
	if name, ok := c.historyName(); !ok || name != c.at {
		return nil, c.history.Error()
	}
	c.present.v.steps++
	row := objectKey(c.present.bucket, c.at)
	c.history.SeekGE(historyKey(row, next))
	if name, ok := c.historyName(); !ok || name != c.at {
		return nil, c.history.Error()
	}
	o, from, err := decodeRow[Object](row, c.history.Value())
	if err != nil || from >= next {
		return nil, err
	}
	return o, nil
}

func (c *pastCursor) historyName() (string, bool) {
	if !c.history.Valid() {
		return "", false
	}
	row, _, ok := cutEscaped(c.history.Key()[1:])
	if !ok || len(row) < 1+8 {
		return "", false
	}
	return string(row[1+8:]), true
}

func (c *pastCursor) name() string             { return c.at }
func (c *pastCursor) object() (*Object, error) { return c.row, nil }

func (c *pastCursor) close() error {
	return errors.Join(c.history.Close(), c.present.close())
}
