package audit

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Scope is what an erasure is about: keys of buckets. Records are shown to it in order, from
// the first on, so that it learns which buckets ever had the name. For one goroutine.
type Scope struct {
	Bucket string // its name, also of those that are gone, or "#" and its id
	Keys   []string
	Prefix string // "": none

	ids  map[uint64]bool // of buckets
	keys map[string]bool // Keys
}

// Buckets are the ids of the buckets of that name, ascending.
func (s *Scope) Buckets() []uint64 {
	var ids []uint64
	for id := range s.ids {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Has tells whether a key is meant.
func (s *Scope) Has(key string) bool {
	if s.keys == nil {
		s.keys = make(map[string]bool)
		for _, k := range s.Keys {
			s.keys[k] = true
		}
	}
	return s.keys[key] || s.Prefix != "" && strings.HasPrefix(key, s.Prefix)
}

// Found is what an event holds of a scope.
type Found struct {
	Seq   uint64   `json:"seq"`
	Kind  string   `json:"kind"`
	Keys  []string `json:"keys"` // of those that are meant; maybe not all
	Count int      `json:"key_count"`
	Items int      `json:"items"`
	// Context tells that the event has an encryption context, which is no item.
	Context bool `json:"context,omitempty"`
	// Places are those of the items, as ledger.Target has them; nil: of all.
	Places []int `json:"-"`
}

// Look finds what a record holds of the scope that is not erased: the keys that are meant,
// wherever they stand, and what else is told of them: headers, tags, the key that one was
// copied from, and where the requests came from. Nil: nothing.
func (s *Scope) Look(r *ledger.Record) (*Found, error) {
	d, err := decode(r)
	if err != nil {
		return nil, err
	}
	bucket := d.bucket(r.Seq)
	s.learn(bucket, d)
	items := itemsOf(r)
	f := &Found{Seq: r.Seq, Kind: d.entry(r.Seq).Kind}
	meant := make(map[uint32]bool) // ordinals of keys
	for _, it := range items {
		if it.GetKind() == event.ItemKind_ITEM_KIND_KEY && s.ids[bucket] && s.Has(string(it.Value)) {
			meant[it.Ordinal] = true
			f.Keys = append(f.Keys, string(it.Value))
		}
	}
	left := false // an item stays
	for i, it := range items {
		switch {
		case it == nil:
			continue
		case it.Kind == event.ItemKind_ITEM_KIND_CLIENT:
			if len(meant) == 0 {
				left = true
				continue
			}
		case it.Kind == event.ItemKind_ITEM_KIND_SOURCE_KEY && s.ids[d.sourceOf(it.Ordinal, bucket)] && s.Has(string(it.Value)):
			if !slices.Contains(f.Keys, string(it.Value)) {
				f.Keys = append(f.Keys, string(it.Value))
			}
		case !ofKey(it.Kind) || !meant[it.Ordinal]:
			left = true
			continue
		}
		f.Places = append(f.Places, i)
	}
	f.Items = len(f.Places)
	if f.Items == 0 {
		return nil, nil
	}
	if !left {
		f.Places = nil
	}
	f.Count, f.Context = len(f.Keys), hasContext(d.parsed.Statement.ProtoReflect())
	return f, nil
}

// hasContext tells whether a message has an encryption context anywhere.
func hasContext(m protoreflect.Message) (has bool) {
	if e, ok := m.Interface().(*event.Encryption); ok {
		return e.Context != ""
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				has = has || hasContext(v.List().Get(i).Message())
			}
		default:
			has = hasContext(v.Message())
		}
		return !has
	})
	return has
}

// sourceOf is the bucket of the key that an operation of an event took from.
func (d *decoded) sourceOf(ordinal uint32, bucket uint64) uint64 {
	s := d.parsed.Statement
	if s.GetObjectRenamed() != nil {
		return bucket
	}
	if steps := s.GetTransactionCommitted().GetOperations(); int(ordinal) < len(steps) {
		return steps[ordinal].GetCopied().GetSource().GetBucket()
	}
	return d.source()
}

// learn notes the bucket of an event, if it is one of the name.
func (s *Scope) learn(bucket uint64, d *decoded) {
	if s.ids == nil {
		s.ids = make(map[uint64]bool)
	}
	if bucket != 0 && names(s.Bucket, d.parsed.Text(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0), bucket) {
		s.ids[bucket] = true
	}
}

// ofKey tells whether items of a kind say something of the key of their ordinal.
func ofKey(k event.ItemKind) bool {
	switch k {
	case event.ItemKind_ITEM_KIND_KEY, event.ItemKind_ITEM_KIND_SOURCE_KEY, event.ItemKind_ITEM_KIND_HEADERS, event.ItemKind_ITEM_KIND_TAGS:
		return true
	}
	return false
}

// itemsOf decodes the items of a record, by place; nil for one that is erased, or of what
// was no proposal at all.
func itemsOf(r *ledger.Record) []*event.Item {
	items := make([]*event.Item, len(r.Items))
	for i := range r.Items {
		if r.Items[i].Erased {
			continue
		}
		it := &event.Item{}
		if event.Decode(r.Items[i].Bytes, it) == nil {
			items[i] = it
		}
	}
	return items
}
