package fsm

import (
	"errors"
	"strings"

	"ironman/sim/sabotage"
)

// ListQuery asks for a page of a bucket's objects, in byte order of their keys.
type ListQuery struct {
	Bucket    uint64
	Prefix    string
	Delimiter string // may be longer than a byte; "": none
	// After: only keys and common prefixes above it. A key that rolls up into a
	// common prefix stands for all of it, as the prefix itself does.
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

// ListObjects returns a page. Its cost grows with what it returns: a common
// prefix is one seek, whatever lies under it.
func (v *View) ListObjects(q ListQuery) (*Listing, error) {
	l := &Listing{}
	start, ok := q.start()
	if q.Max <= 0 || !ok {
		return l, nil
	}
	c, err := v.walk(objectKey(q.Bucket, q.Prefix))
	if err != nil {
		return nil, err
	}
	err = q.page(c, start, l)
	return l, errors.Join(err, c.close())
}

// page fills l with the rows of c from a key on.
func (q *ListQuery) page(c cursor, start string, l *Listing) error {
	ok, err := c.seek(objectKey(q.Bucket, start))
	for err == nil && ok {
		if len(l.Items) == q.Max {
			l.Truncated = true
			return nil
		}
		name := string(c.key()[1+8:])
		if p, is := commonPrefix(name, q.Prefix, q.Delimiter); is {
			if len(l.Items) > 0 || q.After == "" || !sabotage.On(sabotage.X35) {
				l.Items = append(l.Items, Item{Key: p})
			}
			end := after([]byte(p))
			if end == nil {
				return nil
			}
			ok, err = c.seek(objectKey(q.Bucket, string(end)))
			continue
		}
		o, _, failed := decodeRow[Object](c.key(), c.value())
		if failed != nil {
			return failed
		}
		l.Items = append(l.Items, Item{Key: name, Object: o})
		ok, err = c.next()
	}
	return err
}

// start is the smallest key that may stand on the page, and false if no key may.
func (q *ListQuery) start() (string, bool) {
	if q.After < q.Prefix {
		return q.Prefix, true
	}
	if p, is := commonPrefix(q.After, q.Prefix, q.Delimiter); is {
		end := after([]byte(p)) // p itself is not above After
		return string(end), end != nil
	}
	if sabotage.On(sabotage.X33) {
		return q.After, true
	}
	return q.After + "\x00", true
}

// commonPrefix rolls a key up to its first delimiter behind the prefix.
func commonPrefix(name, prefix, delimiter string) (string, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if delimiter == "" || !ok {
		return "", false
	}
	i := strings.Index(rest, delimiter)
	if i < 0 {
		return "", false
	}
	return name[:len(prefix)+i+len(delimiter)], true
}
