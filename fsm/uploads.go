package fsm

import (
	"errors"
	"fmt"

	"ironman/wal/event"
)

// UploadQuery asks for a page of a bucket's open uploads, by key and then by age.
type UploadQuery struct {
	Bucket uint64
	// As in ListQuery.
	Prefix, Delimiter, After string
	// With After: uploads of that key above this one come as well.
	AfterUpload *event.Version
	Max         int
}

// UploadItem is one line: an upload, or a common prefix.
type UploadItem struct {
	Prefix string
	Upload *Upload // nil: Prefix is a common prefix
}

// ListUploads returns a page and whether there is more. Uploads are as of now in
// every view. As in ListObjects, a common prefix is one seek.
func (v *View) ListUploads(q UploadQuery) (items []UploadItem, truncated bool, err error) {
	prefix := uploadPrefix(q.Bucket, q.Prefix)
	start, ok := q.start()
	if q.Max <= 0 || !ok {
		return nil, false, nil
	}
	it, err := v.iterate(prefix)
	if err != nil {
		return nil, false, err
	}
	c := &presentCursor{v: v, it: it}
	items, truncated, err = q.page(c, start)
	return items, truncated, errors.Join(err, c.close())
}

func (q *UploadQuery) page(c cursor, start []byte) (items []UploadItem, truncated bool, err error) {
	ok, err := c.seek(start)
	for err == nil && ok {
		if len(items) == q.Max {
			return items, true, nil
		}
		name, _, whole := cutEscaped(c.key()[1+8:])
		if !whole {
			return nil, false, fmt.Errorf("fsm: upload %x: %w", c.key(), event.ErrMalformed)
		}
		if p, is := commonPrefix(string(name), q.Prefix, q.Delimiter); is {
			items = append(items, UploadItem{Prefix: p})
			end := after([]byte(p))
			if end == nil {
				return items, false, nil
			}
			ok, err = c.seek(uploadPrefix(q.Bucket, string(end)))
			continue
		}
		u, _, failed := decodeRow[Upload](c.key(), c.value())
		if failed != nil {
			return nil, false, failed
		}
		u.Key = string(name)
		items = append(items, UploadItem{Upload: u})
		ok, err = c.next()
	}
	return items, false, err
}

// start is the smallest row that may stand on the page, and false if none may.
func (q *UploadQuery) start() ([]byte, bool) {
	if q.After < q.Prefix {
		return uploadPrefix(q.Bucket, q.Prefix), true
	}
	if p, is := commonPrefix(q.After, q.Prefix, q.Delimiter); is {
		end := after([]byte(p))
		return uploadPrefix(q.Bucket, string(end)), end != nil
	}
	if q.AfterUpload != nil {
		return append(uploadKey(q.Bucket, q.After, q.AfterUpload), 0), true
	}
	k := uploadKey(q.Bucket, q.After, nil)
	return after(k[:len(k)-versionBytes]), true // past every upload of that key
}

// uploadPrefix begins the rows of every upload whose key begins with prefix.
func uploadPrefix(bucket uint64, prefix string) []byte {
	b := appendEscaped(key(tableUpload, bucket), prefix)
	return b[:len(b)-2] // without the end mark
}
