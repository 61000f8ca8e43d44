package fsm

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

func (m *model) restore(p *event.Parsed, b *event.ObjectsRestored) *event.Outcome {
	if _, ok := m.buckets[b.Bucket]; ok && b.Keys > 1000 {
		return refuse(invalid)
	}
	keys, r := m.keysOf(p, b.Bucket, int(b.Keys))
	if r != none {
		return refuse(r)
	}
	if b.To == 0 || b.To > b.Seen || b.Seen > m.seq {
		return refuse(invalid)
	}
	if b.To < m.oldestIn(b.Source) || b.Seen < m.oldestIn(b.Bucket) {
		return refuse(event.Refusal_REFUSAL_NOT_KEPT)
	}
	if !m.bucketBefore(b.Source, b.To) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	before := m.clone()
	out := &event.Outcome{}
	for i, name := range keys {
		if name == "" || len(name) > 1024 {
			return refuse(invalid)
		}
		at := objectPlace{b.Bucket, name}
		then := before.objectBefore(objectPlace{b.Source, name}, b.To)
		tried := m.clone()
		sub := tried.restoreOne(at, i, then)
		switch {
		case sub.Absent:
		case max(m.touched(at), m.removed(objectPlace{b.Source, name}, then)) >= b.Seen:
			sub = &event.SubOutcome{Refusal: conflict}
		default:
			*m = *tried
		}
		out.Subs = append(out.Subs, sub)
	}
	return out
}

func (m *model) restoreOne(at objectPlace, i int, then *Object) *event.SubOutcome {
	now := m.objects[at].row
	switch {
	case now == nil && then == nil:
		return &event.SubOutcome{Absent: true}
	case then == nil:
		sub := m.remove(at, i)
		if sub.Refusal != none {
			return sub
		}
		sub.Restored = event.RestoredKind_RESTORED_KIND_REMOVED
		return sub
	}
	o := proto.CloneOf(then)
	o.Lock, o.Upload, o.Transaction, o.NullVersion = nil, nil, nil, false
	if now != nil {
		same := proto.CloneOf(now)
		same.Version, same.Time, same.Lock, same.Upload, same.Transaction, same.NullVersion = o.Version, o.Time, nil, nil, nil, false
		if proto.Equal(same, o) {
			return &event.SubOutcome{Absent: true}
		}
	}
	kind := event.RestoredKind_RESTORED_KIND_PUT
	if now != nil && ver(now.Version) == ver(then.Version) {
		kind = event.RestoredKind_RESTORED_KIND_CHANGED
		o = proto.CloneOf(now)
		o.Acl, o.Tags = then.Acl, then.Tags
		m.setChain(at, append([]*Object{o}, m.chain(at)[1:]...))
	} else {
		o.Version, o.Time = &event.Version{Seq: m.seq, Ordinal: uint32(i)}, m.now
		if r := m.add(at, o); r == objLocked {
			return &event.SubOutcome{Refusal: r}
		} else if r != none {
			panic(r)
		}
	}
	return &event.SubOutcome{Version: o.Version, NullVersion: o.NullVersion, Restored: kind, Size: o.Size, Etag: o.Etag}
}

// touched is the event that last changed a key: its object, or the newest of its other
// versions and markers; 0 if nothing tells.
func (m *model) touched(at objectPlace) (seq uint64) {
	if o, ok := m.objects[at]; ok {
		seq = o.from
	} else {
		seq = m.ended(objectKey(at.bucket, at.name))
	}
	chain := m.chain(at)
	if _, ok := m.objects[at]; ok {
		chain = chain[1:]
	}
	if len(chain) > 0 {
		seq = max(seq, m.versions[versionPlace{at, ver(chain[0].Version)}].from)
	}
	return seq
}

// removed is the event that removed a version for good; 0 if it is there, or nothing tells.
func (m *model) removed(at objectPlace, o *Object) uint64 {
	if o == nil {
		return 0
	}
	if _, ok := m.versions[versionPlace{at, ver(o.Version)}]; ok {
		return 0
	}
	return m.ended(versionKey(at.bucket, at.name, o.Version))
}

// ended is the event that ended the newest row of history of a key.
func (m *model) ended(k []byte) (seq uint64) {
	for _, h := range m.history {
		if h.key == string(k) {
			seq = max(seq, h.to)
		}
	}
	return seq
}

// bucketBefore tells whether there was a bucket before a sequence.
func (m *model) bucketBefore(id, next uint64) bool {
	if b, ok := m.buckets[id]; ok && b.from < next {
		return true
	}
	for _, h := range m.history {
		if h.key == string(key(tableBucket, id)) && h.from < next && next <= h.to {
			return true
		}
	}
	return false
}

// objectBefore is a key's object before a sequence.
func (m *model) objectBefore(at objectPlace, next uint64) *Object {
	if o, ok := m.objects[at]; ok && o.from < next {
		return o.row
	}
	for _, h := range m.history {
		if h.key == string(objectKey(at.bucket, at.name)) && h.from < next && next <= h.to {
			return h.row.(*Object)
		}
	}
	return nil
}

// compareDifferences walks what differs from some moments, in pages of some size.
func (w *world) compareDifferences(v *View) {
	c := w.g.m.cluster
	if len(w.g.m.buckets) == 0 {
		return
	}
	for range 4 {
		to := c.HistoryTrimmed + uint64(w.g.choose(int(w.g.m.seq-min(w.g.m.seq, c.HistoryTrimmed)+1)))
		q := DifferenceQuery{Bucket: w.g.bucket(), To: to, Prefix: w.g.one("", "", "a", "a/", "b", "z", "a\x00"), Max: 1 + w.g.choose(5), Looks: 1 + w.g.choose(5)}
		if q.Source = q.Bucket; w.g.odds(3) {
			q.Source = w.g.bucket()
		}
		if _, ok := w.g.m.buckets[q.Bucket]; !ok {
			continue
		}
		if oldest := w.g.m.oldestIn(q.Source); to < oldest {
			if _, err := v.Differences(q); !errors.Is(err, ErrTrimmed) {
				w.t.Fatalf("%+v, kept from %d: %v", q, oldest, err)
			}
			if q.To = oldest; w.g.odds(2) {
				continue
			}
		}
		var got []Difference
		looked := 0
		for more := true; more; {
			d, err := v.Differences(q)
			if err != nil || len(d.Found) > q.Max || d.Looked > q.Looks {
				w.t.Fatalf("%+v: %+v, %v", q, d, err)
			}
			got, looked = append(got, d.Found...), looked+d.Looked
			q.After, more = d.After, d.More
		}
		want, keys := w.g.m.differences(q)
		if looked != keys {
			w.t.Fatalf("%+v looked at %d keys of %d", q, looked, keys)
		}
		if len(got) != len(want) {
			w.t.Fatalf("%+v finds %d differences, want %d:\n%v\n%v", q, len(got), len(want), got, want)
		}
		for i, x := range want {
			y := got[i]
			if x.Key != y.Key || x.Kind != y.Kind || x.Changed != y.Changed || !proto.Equal(x.Now, y.Now) || !proto.Equal(x.Then, y.Then) {
				w.t.Fatalf("%+v: %+v, want %+v", q, y, x)
			}
		}
	}
}

// differences tries a restore of every key that ever was.
func (m *model) differences(q DifferenceQuery) (all []Difference, keys int) {
	names := map[string]bool{}
	for at := range m.objects {
		if at.bucket == q.Bucket || at.bucket == q.Source {
			names[at.name] = true
		}
	}
	for _, h := range m.history {
		if k := string(objectKey(q.Source, "")); strings.HasPrefix(h.key, k) {
			names[h.key[len(k):]] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !strings.HasPrefix(name, q.Prefix) {
			continue
		}
		keys++
		at := objectPlace{q.Bucket, name}
		x := Difference{Key: name, Now: m.objects[at].row, Then: m.objectBefore(objectPlace{q.Source, name}, q.To), Changed: m.touched(at)}
		x.Changed = max(x.Changed, m.removed(objectPlace{q.Source, name}, x.Then))
		if x.Kind = m.clone().restoreOne(at, 0, x.Then).Restored; x.Kind != 0 {
			all = append(all, x)
		}
	}
	return all, keys
}
