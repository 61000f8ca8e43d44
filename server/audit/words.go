package audit

import (
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"ironman/fsm"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Words puts records into words, with the names that a state knows and, of buckets that
// are gone, the record. It remembers names, so it is for one goroutine and as long as its
// view is open.
type Words struct {
	view    *fsm.View
	record  func(seq uint64) (ledger.Record, error)
	buckets map[uint64]string
	actors  map[string]string
}

// NewWords begins to put records into words. The view stays the caller's to close; without
// one (nil) nobody has a name.
func NewWords(v *fsm.View, record func(seq uint64) (ledger.Record, error)) *Words {
	return &Words{view: v, record: record, buckets: make(map[uint64]string), actors: make(map[string]string)}
}

// Entry puts a record into words.
func (w *Words) Entry(r *ledger.Record) (*Entry, error) {
	d, err := decode(r)
	if err != nil {
		return nil, err
	}
	return w.entry(d, r.Seq), nil
}

func (w *Words) entry(d *decoded, seq uint64) *Entry {
	e := d.entry(seq)
	if e.Bucket != 0 && e.Name == "" {
		e.Name = remembered(w.buckets, e.Bucket, w.bucketName)
	}
	if e.SourceID != 0 {
		e.SourceBucket = remembered(w.buckets, e.SourceID, w.bucketName)
	}
	e.ActorName = remembered(w.actors, d.envelope.Principal, w.actorName)
	return e
}

// mostRemembered bounds what is remembered of names.
const mostRemembered = 100_000

func remembered[K comparable](known map[K]string, k K, find func(K) string) string {
	name, ok := known[k]
	if !ok {
		if len(known) >= mostRemembered {
			clear(known)
		}
		name = find(k)
		known[k] = name
	}
	return name
}

// bucketName is the name of a bucket, also of one that is gone; "" if it is not known here.
func (w *Words) bucketName(id uint64) string {
	if w.view != nil {
		if b, err := w.view.Bucket(id); err == nil && b != nil {
			return b.Name
		}
	}
	return madeAs(w.record, id)
}

// madeAs is the name that a bucket was made with; "" if that cannot be read.
func madeAs(record func(seq uint64) (ledger.Record, error), id uint64) string {
	r, err := record(id)
	if err != nil {
		return ""
	}
	d, err := decode(&r)
	if err != nil || d.parsed.Statement.GetBucketCreated() == nil {
		return ""
	}
	return d.parsed.Text(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0)
}

// actorName is the name that an actor has now; "" if there is none any more.
func (w *Words) actorName(id string) string {
	if id == "" || id == event.System || w.view == nil {
		return ""
	}
	id, session, _ := strings.Cut(id, ":") // of a session: its role's id, and its name
	name := ""
	if p, err := w.view.Principal(id); err == nil && p != nil {
		name = p.Name
	} else if a, err := w.view.Account(id); err == nil && a != nil { // by its canonical id
		name = a.Name
	} else if a, err := w.view.AccountByID(id); err == nil && a != nil {
		name = a.Name
	}
	switch {
	case name != "" && session != "":
		return name + "/" + session
	case name == event.System || name == anonymous: // these are not said of anybody else
		return ""
	}
	return name
}

// Detail puts all of a record into words.
func (w *Words) Detail(r *ledger.Record) (*Detail, error) {
	e, err := w.Entry(r)
	if err != nil {
		return nil, err
	}
	d, err := decode(r)
	if err != nil {
		return nil, err
	}
	out := &Detail{Entry: *e, StateDigest: hex.EncodeToString(d.envelope.StateDigest), LeafHash: leafHash(r.Envelope).String()}
	if out.Statement, err = protojson.Marshal(d.parsed.Statement); err != nil {
		return nil, fmt.Errorf("audit: event %d: %w", r.Seq, err)
	}
	if out.Decided, err = protojson.Marshal(&d.outcome); err != nil {
		return nil, fmt.Errorf("audit: event %d: %w", r.Seq, err)
	}
	for i, items := 0, d.parsed.Items; i < len(r.Items); i++ {
		sum := r.Items[i].Sum()
		x := ItemDetail{Hash: hex.EncodeToString(sum[:]), Erased: r.Items[i].Erased}
		if !x.Erased && len(items) > 0 {
			x.Kind, x.Ordinal = lower(items[0].Kind), items[0].Ordinal
			if x.Text, x.Value, err = itemText(items[0]); err != nil {
				return nil, fmt.Errorf("audit: event %d: %w", r.Seq, err)
			}
			items = items[1:]
		}
		out.Items = append(out.Items, x)
	}
	return out, nil
}
