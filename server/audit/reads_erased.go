package audit

import (
	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/reads"
)

// ErasedNames are the keys that erasures are about, as a log of reads is looked through for
// them. For one goroutine.
type ErasedNames struct {
	keys map[keyPlace]bool
	// anywhere are the keys whatever their bucket: a read that found no bucket names one.
	anywhere map[string]bool
	// Of payloads that tell no name any more: what their events made, and in which buckets.
	made    map[uint64]bool
	buckets map[uint64]bool
}

type keyPlace struct {
	bucket uint64
	key    string
}

// NewErasedNames knows none.
func NewErasedNames() *ErasedNames {
	return &ErasedNames{keys: map[keyPlace]bool{}, anywhere: map[string]bool{}, made: map[uint64]bool{}, buckets: map[uint64]bool{}}
}

// Empty tells whether there is nothing to look for.
func (x *ErasedNames) Empty() bool { return len(x.keys)+len(x.made) == 0 }

// Learn takes the names of an event of which items are erased, by place; nil: all.
func (x *ErasedNames) Learn(r *ledger.Record, erased []int) error {
	d, err := decode(r)
	if err != nil {
		return err
	}
	if erased == nil {
		for i := range r.Items {
			erased = append(erased, i)
		}
	}
	bucket, items := d.bucket(r.Seq), itemsOf(r)
	for _, i := range erased {
		if i >= len(items) {
			continue
		}
		it := items[i]
		switch {
		case it == nil:
			x.made[r.Seq] = true
			for _, b := range []uint64{bucket, d.source()} {
				if b != 0 {
					x.buckets[b] = true
				}
			}
		case it.Kind == event.ItemKind_ITEM_KIND_KEY:
			x.name(bucket, string(it.Value))
		case it.Kind == event.ItemKind_ITEM_KIND_SOURCE_KEY:
			x.name(d.sourceOf(it.Ordinal, bucket), string(it.Value))
		}
	}
	return nil
}

func (x *ErasedNames) name(bucket uint64, key string) {
	x.keys[keyPlace{bucket, key}] = true
	x.anywhere[key] = true
}

// Meant tells whether a record of a read tells of one of them.
func (x *ErasedNames) Meant(e *reads.Entry) bool {
	if e.Read.Kind != event.ReadKind_READ_KIND_READ && e.Read.Kind != event.ReadKind_READ_KIND_COPY_SOURCE {
		return false
	}
	b, _ := e.Item(event.ItemKind_ITEM_KIND_KEY)
	key, bucket := string(b), e.Read.Bucket
	switch {
	case x.keys[keyPlace{bucket, key}], bucket == 0 && x.anywhere[key]:
		return true
	case e.Read.Object != nil:
		return x.made[e.Read.Object.Seq]
	}
	return x.buckets[bucket] || bucket == 0 && len(x.buckets) > 0
}
