package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"ironman/fsm"
	"ironman/wal/event"
)

// Change is how something differs between two moments.
type Change struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key,omitempty"` // "": the bucket itself
	// How is "made", "removed" or "changed".
	How string `json:"how"`
	// What has changed, in the words of the schema: "bytes", "tags", "acl", "policy".
	What   []string `json:"what,omitempty"`
	Before *Object  `json:"before,omitempty"`
	After  *Object  `json:"after,omitempty"`
}

// Object is the current version of a key.
type Object struct {
	Version  string    `json:"version"`
	Size     uint64    `json:"size"`
	ETag     string    `json:"etag"`
	Modified time.Time `json:"modified"`
}

// Difference is what changed between two moments.
type Difference struct {
	Changes []Change
	// Others are the accepted events between of which nothing of that shows, by their kind:
	// what is about users, nodes or uploads, about versions that are not current, and what
	// was undone later.
	Others map[string]uint64
}

// maxTouched bounds the keys that a difference can be of.
const maxTouched = 1_000_000

// place is a key of a bucket, or (no key) the bucket.
type place struct {
	bucket uint64
	key    string
}

// Diff replays the records to two moments, numbers of events, in a state machine
// (NewReplayer), and compares what the events between them touched.
func (x *Reader) Diff(ctx context.Context, m *fsm.Machine, from, to uint64, progress func(done, total uint64)) (*Difference, error) {
	if from > to || to > x.Size() {
		return nil, fmt.Errorf("audit: of %d <= %d <= %d events one is not so", from, to, x.Size())
	}
	d := &Difference{Others: make(map[string]uint64)}
	seen := make(map[place]bool)
	err := x.eachPlace(from, to, func(_ string, places []place) error {
		for _, at := range places {
			seen[at] = true
		}
		if len(seen) > maxTouched {
			return fmt.Errorf("audit: more than %d keys were touched: choose moments that are closer", maxTouched)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	touched := slices.Collect(maps.Keys(seen))
	p := NewReplayer(m)
	if from < p.Next() {
		return nil, fmt.Errorf("%w, but behind %d events: choose moments that are not before", ErrNoBase, p.Next())
	}
	look := func(size uint64) (map[place]row, error) {
		rest := func(done, _ uint64) {
			if progress != nil {
				progress(done, to)
			}
		}
		if size > p.Next() {
			if err := p.run(ctx, x.Records(p.Next()), size, rest); err != nil {
				return nil, err
			}
		}
		return rows(m, touched)
	}
	before, err := look(from)
	if err != nil {
		return nil, err
	}
	after, err := look(to)
	if err != nil {
		return nil, err
	}
	clear(seen)
	for _, at := range touched {
		if c, ok := compare(before[at], after[at]); ok {
			seen[at] = true
			if c.Bucket, err = madeAs(x.Record, at.bucket); err != nil {
				return nil, err
			}
			c.Key = at.key
			d.Changes = append(d.Changes, c)
		}
	}
	slices.SortFunc(d.Changes, func(a, b Change) int { return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Key, b.Key)) })
	return d, x.eachPlace(from, to, func(kind string, places []place) error {
		if !slices.ContainsFunc(places, func(at place) bool { return seen[at] }) {
			d.Others[kind]++
		}
		return nil
	})
}

// eachPlace calls f for each accepted event between two moments, with the places that it may
// have changed: a bucket, or keys in it.
func (x *Reader) eachPlace(from, to uint64, f func(kind string, places []place) error) error {
	for r, err := range x.Records(from) {
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if r.Seq >= to {
			break
		}
		d, err := decode(&r)
		if err != nil {
			return err
		}
		if d.envelope.Refusal != event.Refusal_REFUSAL_NONE {
			continue
		}
		if err := f(event.KindName(d.envelope.Kind), d.places(r.Seq)); err != nil {
			return err
		}
	}
	return nil
}

// places are what an event may have changed, as a difference tells it.
func (d *decoded) places(seq uint64) []place {
	switch d.parsed.Statement.Body.(type) {
	case *event.Statement_UploadCreated, *event.Statement_PartPut, *event.Statement_UploadAborted:
		return nil
	}
	e := d.entry(seq)
	switch {
	case e.Bucket == 0:
		return nil
	case len(e.Keys) == 0:
		return []place{{bucket: e.Bucket}}
	}
	var out []place
	for _, key := range e.Keys {
		out = append(out, place{e.Bucket, key})
	}
	if d.parsed.Statement.GetObjectRenamed() != nil {
		out = append(out, place{e.Bucket, e.SourceKey})
	}
	return out
}

// row is what is at a place.
type row struct {
	bucket    *fsm.Bucket
	documents map[event.DocumentKind][]byte
	object    *fsm.Object
}

func rows(m *fsm.Machine, places []place) (out map[place]row, err error) {
	v, err := m.View()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	out = make(map[place]row, len(places))
	for _, at := range places {
		var r row
		if at.key != "" {
			if r.object, err = v.Object(at.bucket, at.key); err != nil {
				return nil, fmt.Errorf("audit: %w", err)
			}
			out[at] = r
			continue
		}
		if r.bucket, err = v.Bucket(at.bucket); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		r.documents = make(map[event.DocumentKind][]byte)
		for kind := range event.DocumentKind_name {
			d, err := v.Document(at.bucket, event.DocumentKind(kind))
			if err != nil {
				return nil, fmt.Errorf("audit: %w", err)
			}
			if d != nil {
				r.documents[event.DocumentKind(kind)] = d.Text
			}
		}
		out[at] = r
	}
	return out, nil
}

// compare tells how what is at a place has changed; false: it has not.
func compare(a, b row) (Change, bool) {
	c := Change{Before: object(a.object), After: object(b.object)}
	was, is := a.bucket != nil || a.object != nil, b.bucket != nil || b.object != nil
	switch {
	case !was && !is:
		return c, false
	case !was:
		c.How = "made"
		return c, true
	case !is:
		c.How = "removed"
		return c, true
	}
	c.How = "changed"
	if a.object != nil {
		c.What = objectDiffers(a.object, b.object)
	} else {
		c.What = bucketDiffers(a, b)
	}
	return c, len(c.What) > 0
}

func object(o *fsm.Object) *Object {
	if o == nil {
		return nil
	}
	return &Object{Version: o.Version.ID(), Size: o.Size, ETag: o.Etag, Modified: time.Unix(0, o.Time).UTC()}
}

func objectDiffers(a, b *fsm.Object) (what []string) {
	for _, part := range []struct {
		name string
		same bool
	}{
		{"bytes", a.Etag == b.Etag && a.Size == b.Size},
		{"version", a.Version.Same(b.Version)},
		{"owner", a.Owner == b.Owner},
		{"acl", proto.Equal(a.Acl, b.Acl)},
		{"lock", proto.Equal(a.Lock, b.Lock)},
		{"headers", proto.Equal(a.Headers, b.Headers)},
		{"tags", proto.Equal(a.Tags, b.Tags)},
		{"storage_class", a.StorageClass == b.StorageClass},
		{"encryption", a.Encryption.GetKind() == b.Encryption.GetKind()},
	} {
		if !part.same {
			what = append(what, part.name)
		}
	}
	return what
}

func bucketDiffers(a, b row) (what []string) {
	x, y := a.bucket, b.bucket
	for _, part := range []struct {
		name string
		same bool
	}{
		{"acl", proto.Equal(x.Acl, y.Acl)},
		{"versioning", x.Versioning == y.Versioning},
		{"object_lock", x.ObjectLock == y.ObjectLock && x.DefaultMode == y.DefaultMode && x.DefaultDays == y.DefaultDays && x.DefaultYears == y.DefaultYears},
		{"quota", proto.Equal(x.Quota, y.Quota)},
	} {
		if !part.same {
			what = append(what, part.name)
		}
	}
	for kind := range event.DocumentKind_name {
		k := event.DocumentKind(kind)
		before, was := a.documents[k]
		after, is := b.documents[k]
		if was != is || string(before) != string(after) {
			what = append(what, lower(k))
		}
	}
	slices.Sort(what)
	return what
}
