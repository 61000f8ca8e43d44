package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// cursor walks the rows under a prefix of one historical table as a view shows
// them, in the order of their keys. What key and value return holds until the
// cursor moves.
type cursor interface {
	seek(key []byte) (bool, error) // to the first row at or above key
	next() (bool, error)
	key() []byte
	value() []byte
	close() error
}

// walk opens a cursor over the rows whose keys begin with prefix.
func (v *View) walk(prefix []byte) (cursor, error) {
	it, err := v.iterate(prefix)
	if err != nil {
		return nil, err
	}
	now := &presentCursor{v: v, it: it}
	if v.next == present {
		return now, nil
	}
	if err := v.kept(prefix); err != nil {
		return nil, errors.Join(err, now.close())
	}
	history, err := v.iterate(historyPrefix(prefix))
	if err != nil {
		return nil, errors.Join(err, now.close())
	}
	return &pastCursor{now: now, history: history}, nil
}

func (v *View) iterate(prefix []byte) (*pebble.Iterator, error) {
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, fmt.Errorf("fsm: %w", err)
	}
	return it, nil
}

// presentCursor walks the rows that are there now.
type presentCursor struct {
	v  *View
	it *pebble.Iterator
}

func (c *presentCursor) seek(key []byte) (bool, error) {
	c.v.steps++
	return c.it.SeekGE(key), c.it.Error()
}

func (c *presentCursor) next() (bool, error) {
	c.v.steps++
	return c.it.Next(), c.it.Error()
}

func (c *presentCursor) key() []byte   { return c.it.Key() }
func (c *presentCursor) value() []byte { return c.it.Value() }
func (c *presentCursor) close() error  { return c.it.Close() }

// pastCursor merges the rows that are there now with those that history holds,
// and shows each as it was at the view's moment.
type pastCursor struct {
	now     *presentCursor
	history *pebble.Iterator
	at      []byte // the key of the row it stands on
	row     []byte // its value as of the view
	unseen  int    // rows that were passed over
}

func (c *pastCursor) key() []byte   { return c.at }
func (c *pastCursor) value() []byte { return c.row }
func (c *pastCursor) close() error  { return errors.Join(c.history.Close(), c.now.close()) }

func (c *pastCursor) seek(key []byte) (bool, error) {
	if _, err := c.now.seek(key); err != nil {
		return false, err
	}
	if err := c.seekHistory(historyPrefix(key)); err != nil {
		return false, err
	}
	return c.settle()
}

func (c *pastCursor) next() (bool, error) {
	if err := c.leave(); err != nil {
		return false, err
	}
	return c.settle()
}

func (c *pastCursor) seekHistory(key []byte) error {
	c.now.v.steps++
	c.history.SeekGE(key)
	return c.history.Error()
}

// nowHere and historyHere tell whether an iterator stands on the row at.
func (c *pastCursor) nowHere() bool { return c.now.it.Valid() && bytes.Equal(c.now.key(), c.at) }

func (c *pastCursor) historyHere() bool {
	k, ok := c.historyRow()
	return ok && bytes.Equal(k, c.at)
}

// historyRow is the key of the row whose history the iterator stands in.
func (c *pastCursor) historyRow() ([]byte, bool) {
	if !c.history.Valid() {
		return nil, false
	}
	k, _, ok := cutEscaped(c.history.Key()[1:])
	return k, ok
}

// leave moves both iterators past the row they stand on.
func (c *pastCursor) leave() error {
	if c.nowHere() {
		if _, err := c.now.next(); err != nil {
			return err
		}
	}
	if c.historyHere() {
		return c.seekHistory(append(historyKey(c.at, math.MaxUint64), 0))
	}
	return nil
}

// ErrPastTooFar says that too much has changed since a moment for what is asked of it.
var ErrPastTooFar error = pastTooFar{}

type pastTooFar struct{}

func (pastTooFar) Error() string { return "fsm: too much has changed since that moment" }

// S3Code is how clients are told.
func (pastTooFar) S3Code() (code, message string) {
	return "InvalidRequest", "Too much was made here since that moment to look past it in one request. Ask with a longer prefix."
}

// maxUnseen is how many rows that a view of the past does not show one page may look at.
const maxUnseen = 200_000

// settle stops at the first row from here on that the view shows.
func (c *pastCursor) settle() (bool, error) {
	for ; ; c.unseen++ {
		if c.unseen > maxUnseen {
			return false, ErrPastTooFar
		}
		h, inHistory := c.historyRow()
		switch {
		case c.now.it.Valid() && (!inHistory || bytes.Compare(c.now.key(), h) <= 0):
			c.at = append(c.at[:0], c.now.key()...)
		case inHistory:
			c.at = append(c.at[:0], h...)
		default:
			return false, errors.Join(c.now.it.Error(), c.history.Error())
		}
		if shown, err := c.resolve(); shown || err != nil {
			return shown, err
		}
		if err := c.leave(); err != nil {
			return false, err
		}
	}
}

// resolve finds what the row at was at the view's moment. It is false if it was
// not there then.
func (c *pastCursor) resolve() (bool, error) {
	next := c.now.v.next
	if c.nowHere() && seen(c.now.value(), next) {
		c.row = append(c.row[:0], c.now.value()...)
		return true, nil
	}
	if !c.historyHere() {
		return false, nil
	}
	if err := c.seekHistory(historyKey(c.at, next)); err != nil {
		return false, err
	}
	if !c.historyHere() || !seen(c.history.Value(), next) {
		return false, nil
	}
	c.row = append(c.row[:0], c.history.Value()...)
	return true, nil
}

// seen tells whether a row of a historical table was written by an event below next.
func seen(value []byte, next uint64) bool {
	return len(value) >= fromBytes && binary.BigEndian.Uint64(value) < next
}

// historyPrefix begins the history of every row whose key begins with prefix.
func historyPrefix(prefix []byte) []byte {
	b := appendEscaped([]byte{byte(tableHistory)}, string(prefix))
	return b[:len(b)-2] // without the end mark
}
