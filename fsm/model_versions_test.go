package fsm

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

const (
	enabled   = event.VersioningState_VERSIONING_STATE_ENABLED
	suspended = event.VersioningState_VERSIONING_STATE_SUSPENDED
	objLocked = event.Refusal_REFUSAL_OBJECT_LOCKED
	badState  = event.Refusal_REFUSAL_BUCKET_STATE
	noKey     = event.Refusal_REFUSAL_NO_SUCH_KEY
	noVersion = event.Refusal_REFUSAL_NO_SUCH_VERSION
)

// chain is all versions and markers of a key, newest first. What the machine keeps in
// three tables is this list and nothing else.
func (m *model) chain(at objectPlace) []*Object {
	var all []*Object
	if o, ok := m.objects[at]; ok {
		all = append(all, o.row)
	}
	for p, o := range m.versions {
		if p.objectPlace == at {
			all = append(all, o.row)
		}
	}
	slices.SortFunc(all, func(a, b *Object) int {
		return cmp.Or(cmp.Compare(b.Version.Seq, a.Version.Seq), cmp.Compare(b.Version.Ordinal, a.Version.Ordinal))
	})
	return all
}

// setChain makes rows of a list: the newest is the object's row unless it is a marker.
func (m *model) setChain(at objectPlace, chain []*Object) {
	var current *Object
	if len(chain) > 0 && !chain[0].DeleteMarker {
		current, chain = chain[0], chain[1:]
	}
	if old, ok := m.objects[at]; ok && old.row != current {
		m.archive(objectKey(at.bucket, at.name), old.from, old.row)
		delete(m.objects, at)
	}
	if _, ok := m.objects[at]; !ok && current != nil {
		m.objects[at] = dated[*Object]{m.seq, current}
	}
	for p, old := range m.versions {
		if p.objectPlace == at && !slices.Contains(chain, old.row) {
			m.archive(versionKey(at.bucket, at.name, old.row.Version), old.from, old.row)
			delete(m.versions, p)
		}
	}
	var null *event.Version
	for _, o := range chain {
		p := versionPlace{at, ver(o.Version)}
		if _, ok := m.versions[p]; !ok {
			m.versions[p] = dated[*Object]{m.seq, o}
		}
		if o.NullVersion {
			null = o.Version
		}
	}
	if old, ok := m.nulls[at]; ok && !old.row.Same(null) {
		m.archive(nullKey(at.bucket, at.name), old.from, old.row)
		delete(m.nulls, at)
	}
	if _, ok := m.nulls[at]; !ok && null != nil {
		m.nulls[at] = dated[*event.Version]{m.seq, null}
	}
}

func nullOf(chain []*Object) *Object {
	for _, o := range chain {
		if o.NullVersion {
			return o
		}
	}
	return nil
}

func (m *model) level3() bool { return m.cluster.FeatureLevel >= 3 }

func (m *model) locked(bucket uint64, o *Object, bypass bool) bool {
	l := o.GetLock()
	if l == nil || !m.level3() || !m.buckets[bucket].row.GetObjectLock() {
		return false
	}
	inForce := l.Mode != 0 && l.RetainUntil > m.now
	return l.LegalHold || inForce && !(bypass && l.Mode == event.RetentionMode_RETENTION_MODE_GOVERNANCE)
}

// lockFor judges the lock of a new version and gives it the bucket's default.
func (m *model) lockFor(bucket uint64, l *event.Lock) (*event.Lock, event.Refusal) {
	b := m.buckets[bucket].row
	if l != nil && m.level3() {
		if l.RetainUntil < 0 || (l.Mode == 0) != (l.RetainUntil == 0) {
			return nil, invalid
		}
		if !b.ObjectLock {
			return nil, badState
		}
	}
	if b.GetDefaultMode() != 0 && (l.GetMode() == 0 || m.level3() && l.GetRetainUntil() <= m.now) {
		until := uint64(m.now) + (uint64(b.DefaultDays)+365*uint64(b.DefaultYears))*24*3600e9
		l = &event.Lock{Mode: b.DefaultMode, RetainUntil: int64(min(until, 1<<63-1)), LegalHold: l.GetLegalHold()}
	}
	return l, none
}

// add puts a new version in front of a key's others, or in the place of the null version.
func (m *model) add(at objectPlace, o *Object) event.Refusal {
	lock, r := m.lockFor(at.bucket, o.Lock)
	if r != none {
		return r
	}
	o.Lock = lock
	chain := m.chain(at)
	if m.buckets[at.bucket].row.Versioning != enabled {
		o.NullVersion = true
		null := nullOf(chain)
		if null != nil && m.locked(at.bucket, null, false) {
			return objLocked
		}
		chain = without(chain, null)
	}
	m.setChain(at, append([]*Object{o}, chain...))
	return none
}

// remove is a DELETE that names no version.
func (m *model) remove(at objectPlace, ordinal int) *event.SubOutcome {
	chain, b := m.chain(at), m.buckets[at.bucket].row
	if b.Versioning != enabled {
		null := nullOf(chain)
		if null != nil && m.locked(at.bucket, null, false) {
			return &event.SubOutcome{Refusal: objLocked}
		}
		chain = without(chain, null)
		if b.Versioning == 0 && null == nil {
			return &event.SubOutcome{Absent: true}
		}
		if b.Versioning == 0 {
			m.setChain(at, nil)
			return &event.SubOutcome{Version: null.Version, NullVersion: true}
		}
	}
	marker := &Object{
		Version: &event.Version{Seq: m.seq, Ordinal: uint32(ordinal)}, NullVersion: b.Versioning == suspended, DeleteMarker: true,
		Time: m.now, Owner: b.Owner,
	}
	m.setChain(at, append([]*Object{marker}, chain...))
	return &event.SubOutcome{Version: marker.Version, NullVersion: marker.NullVersion, DeleteMarker: true}
}

// destroy removes one version for good.
func (m *model) destroy(at objectPlace, o *Object, bypass bool) *event.SubOutcome {
	if m.locked(at.bucket, o, bypass) {
		return &event.SubOutcome{Refusal: objLocked}
	}
	m.setChain(at, without(m.chain(at), o))
	return &event.SubOutcome{Version: o.Version, NullVersion: o.NullVersion, DeleteMarker: o.DeleteMarker}
}

// find is one version of a key; nil if there is none.
func (m *model) find(at objectPlace, v *event.Version) *Object {
	for _, o := range m.chain(at) {
		if v != nil && ver(o.Version) == ver(v) {
			return o
		}
	}
	return nil
}

// change replaces one version by a changed one, or says why it cannot.
func (m *model) change(at objectPlace, v *event.Version, f func(*Object) event.Refusal) *event.Outcome {
	old := m.find(at, v)
	if old == nil || old.DeleteMarker {
		switch {
		case m.buckets[at.bucket].row.GetVersioning() != 0:
			return refuse(noVersion)
		case m.objects[at].row != nil:
			return refuse(conflict)
		}
		return refuse(noKey)
	}
	o := proto.CloneOf(old)
	if r := f(o); r != none {
		return refuse(r)
	}
	chain := m.chain(at)
	chain[slices.Index(chain, old)] = o
	m.setChain(at, chain)
	return &event.Outcome{Version: o.Version, NullVersion: o.NullVersion}
}

func (m *model) setTags(p *event.Parsed, b *event.ObjectTagsSet, at objectPlace) *event.Outcome {
	return m.change(at, b.Version, func(o *Object) event.Refusal {
		_, tags, ok := beside(p, 0)
		o.Tags = tags
		if !ok {
			return invalid
		}
		return none
	})
}

func (m *model) setLock(b *event.ObjectLockSet, at objectPlace) *event.Outcome {
	bucket, ok := m.buckets[b.Bucket]
	l := b.Lock
	switch {
	case !ok:
		return refuse(noBucket)
	case l == nil || !b.Retention && !b.LegalHold:
		return refuse(invalid)
	case b.Retention && (l.RetainUntil < 0 || (l.Mode == 0) != (l.RetainUntil == 0)):
		return refuse(invalid)
	case !bucket.row.ObjectLock:
		return refuse(badState)
	}
	return m.change(at, b.Version, func(o *Object) event.Refusal {
		next := &event.Lock{}
		if o.Lock != nil {
			next = proto.CloneOf(o.Lock)
		}
		if b.LegalHold {
			next.LegalHold = l.LegalHold
		}
		if b.Retention {
			longer := l.Mode == next.Mode && l.RetainUntil >= next.RetainUntil
			bypass := b.BypassGovernance && next.Mode == event.RetentionMode_RETENTION_MODE_GOVERNANCE
			if next.Mode != 0 && next.RetainUntil > m.now && !longer && !bypass {
				return objLocked
			}
			next.Mode, next.RetainUntil = l.Mode, l.RetainUntil
		}
		o.Lock = next
		return none
	})
}

func (m *model) rename(p *event.Parsed, b *event.ObjectRenamed, at objectPlace) *event.Outcome {
	from := objectPlace{b.Bucket, p.Text(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0)}
	bucket, ok := m.buckets[b.Bucket]
	src := m.objects[from].row
	switch {
	case at.name == "" || len(at.name) > 1024 || from.name == "" || len(from.name) > 1024 || at == from:
		return refuse(invalid)
	case !ok:
		return refuse(noBucket)
	case src == nil:
		return refuse(noKey)
	case !src.Version.Same(b.Version):
		return refuse(conflict)
	}
	for _, r := range []event.Refusal{m.judgeCondition(b.SourceCondition, src), m.judgeCondition(b.Condition, m.objects[at].row)} {
		if r != none {
			return refuse(r)
		}
	}
	o := proto.CloneOf(src)
	o.Version, o.Time, o.NullVersion, o.Upload, o.Transaction = &event.Version{Seq: m.seq}, m.now, false, nil, nil
	if !bucket.row.ObjectLock {
		o.Lock = nil
	}
	if r := m.add(at, o); r != none {
		return refuse(r)
	}
	if sub := m.remove(from, 1); sub.Refusal != none {
		return refuse(sub.Refusal)
	}
	return &event.Outcome{Version: o.Version, NullVersion: o.NullVersion, Etag: o.Etag}
}

func (m *model) grow(p *event.Parsed, b *event.ObjectAppended, at objectPlace) *event.Outcome {
	old := m.objects[at].row
	_, ok := m.buckets[at.bucket]
	switch {
	case at.name == "" || len(at.name) > 1024:
		return refuse(invalid)
	case !ok:
		return refuse(noBucket)
	case !b.Version.Same(old.GetVersion()):
		return refuse(conflict)
	}
	if r := m.judgeCondition(b.Condition, old); r != none {
		return refuse(r)
	}
	switch {
	case b.Offset != old.GetSize():
		return refuse(event.Refusal_REFUSAL_OFFSET)
	case b.Size != old.GetSize()+total(m.whole(b.Encryption, b.Blobs)):
		return refuse(invalid)
	case b.Size > 50<<40:
		return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
	}
	o := &Object{Owner: b.Owner, Acl: b.Acl, StorageClass: b.StorageClass, Encryption: b.Encryption}
	if old == nil {
		headers, tags, ok := beside(p, 0)
		if b.Acl == nil || b.Owner == "" || !ok {
			return refuse(invalid)
		}
		o.Headers, o.Tags = headers, tags
	} else {
		o = &Object{Owner: old.Owner, Acl: old.Acl, StorageClass: old.StorageClass, Headers: old.Headers, Tags: old.Tags}
		if b.Encryption.GetKind() != old.Encryption.GetKind() || b.Encryption.GetKeyId() != old.Encryption.GetKeyId() {
			return refuse(invalid)
		}
		if old.Encryption != nil {
			o.Encryption = proto.CloneOf(old.Encryption)
			o.Encryption.Keys = slices.Concat(m.keysUnder(old), b.Encryption.GetKeys())
		}
	}
	o.Version, o.Size, o.Etag, o.Checksum, o.Time = &event.Version{Seq: m.seq}, b.Size, b.Etag, b.Checksum, m.now
	if r := m.adopt(b.Blobs); r != none {
		return refuse(r)
	}
	var segments []*event.Segment
	switch {
	case old.GetBlob() != nil:
		segments = []*event.Segment{{Blob: old.Blob, Length: old.Size}}
	case old.GetAssembly() != nil:
		segments = m.assemblies[ver(old.Assembly)].segments
	}
	segments = slices.Concat(segments, m.whole(b.Encryption, b.Blobs))
	switch {
	case len(segments) > 10_000:
		return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
	case !m.keyed(o.Encryption, segments):
		return refuse(invalid)
	case len(segments) == 0: // no bytes, no body
	case len(b.Blobs) == 0 && old != nil:
		o.Blob, o.Assembly = old.Blob, old.Assembly
		if m.level3() {
			o.Encryption = old.Encryption
		}
	case len(segments) == 1:
		o.Blob = segments[0].Blob
	case len(segments) > 1:
		// Encrypted bytes of before level 3 are as long as plain ones: nothing fits behind them.
		if r := m.within(m.isSealed(b.Encryption), segments, b.Blobs); r != none {
			return refuse(r)
		}
		o.Assembly = o.Version
		a := modelAssembly{segments: segments}
		if m.isSealed(o.Encryption) {
			a.keys = o.Encryption.Keys
			o.Encryption = proto.CloneOf(o.Encryption)
			o.Encryption.Keys = nil
		}
		m.assemblies[ver(o.Version)] = a
	}
	if r := m.add(at, o); r != none {
		return refuse(r)
	}
	return &event.Outcome{Version: o.Version, NullVersion: o.NullVersion, Etag: o.Etag}
}

// keysUnder are an object's data keys, of its row or of its assembly.
func (m *model) keysUnder(o *Object) []*event.WrappedKey {
	if len(o.Encryption.GetKeys()) > 0 || o.Assembly == nil {
		return o.Encryption.GetKeys()
	}
	return m.assemblies[ver(o.Assembly)].keys
}

func (m *model) expire(p *event.Parsed, b *event.ObjectsExpired) *event.Outcome {
	keys, r := m.keysOf(p, b.Bucket, len(b.Targets))
	if r != none {
		return refuse(r)
	}
	out := &event.Outcome{}
	for i, target := range b.Targets {
		at := objectPlace{b.Bucket, keys[i]}
		if at.name == "" || len(at.name) > 1024 || target.Version == nil || target.Kind == 0 {
			return refuse(invalid)
		}
		chain, o := m.chain(at), m.find(at, target.Version)
		sub := &event.SubOutcome{Refusal: conflict}
		switch target.Kind {
		case event.ExpiredKind_EXPIRED_KIND_CURRENT:
			if o != nil && o == chain[0] && !o.DeleteMarker {
				sub = m.remove(at, i)
			}
		case event.ExpiredKind_EXPIRED_KIND_NONCURRENT:
			if o != nil && o != chain[0] {
				sub = m.destroy(at, o, false)
			}
		case event.ExpiredKind_EXPIRED_KIND_MARKER:
			if o != nil && o.DeleteMarker && len(chain) == 1 {
				sub = m.destroy(at, o, false)
			}
		}
		out.Subs = append(out.Subs, sub)
	}
	return out
}

// keysOf reads the keys of an event of n targets.
func (m *model) keysOf(p *event.Parsed, bucket uint64, n int) ([]string, event.Refusal) {
	if _, ok := m.buckets[bucket]; !ok {
		return nil, noBucket
	}
	keys := make([]string, n)
	for _, it := range p.Items {
		if it.Kind == event.ItemKind_ITEM_KIND_KEY && int(it.Ordinal) >= n {
			return nil, invalid
		} else if it.Kind == event.ItemKind_ITEM_KIND_KEY {
			keys[it.Ordinal] = string(it.Value)
		}
	}
	if n == 0 {
		return nil, invalid
	}
	return keys, none
}

// changeBucket replaces the row of a bucket by a changed one.
func (m *model) changeBucket(id uint64, f func(*Bucket) event.Refusal) *event.Outcome {
	old, ok := m.buckets[id]
	if !ok {
		return refuse(noBucket)
	}
	row := proto.CloneOf(old.row)
	if r := f(row); r != none {
		return refuse(r)
	}
	m.archive(key(tableBucket, id), old.from, old.row)
	m.buckets[id] = dated[*Bucket]{m.seq, row}
	return nil
}

// bucketSettings is what changes how a bucket treats its objects.
func (m *model) bucketSettings(s *event.Statement) *event.Outcome {
	switch b := s.Body.(type) {
	case *event.Statement_BucketVersioningSet:
		x := b.BucketVersioningSet
		return m.changeBucket(x.Bucket, func(row *Bucket) event.Refusal {
			if x.State == 0 {
				return invalid
			}
			if x.State == suspended && row.ObjectLock {
				return badState
			}
			row.Versioning = x.State
			return none
		})
	case *event.Statement_BucketLockSet:
		x := b.BucketLockSet
		return m.changeBucket(x.Bucket, func(row *Bucket) event.Refusal {
			periods := 0
			for _, n := range []uint32{x.Days, x.Years} {
				if n > 0 {
					periods++
				}
			}
			if x.Days > 36500 || x.Years > 100 || x.Mode == 0 && periods != 0 || x.Mode != 0 && periods != 1 {
				return invalid
			}
			if row.Versioning != enabled {
				return badState
			}
			row.ObjectLock, row.DefaultMode, row.DefaultDays, row.DefaultYears = true, x.Mode, x.Days, x.Years
			return none
		})
	case *event.Statement_BucketQuotaSet:
		return m.changeBucket(b.BucketQuotaSet.Bucket, func(row *Bucket) event.Refusal {
			row.Quota = bounding(b.BucketQuotaSet.Quota)
			return none
		})
	case *event.Statement_AccountQuotaSet:
		for id, a := range m.accounts {
			if a.Account == b.AccountQuotaSet.Account {
				m.quotas[id] = bounding(b.AccountQuotaSet.Quota)
				return nil
			}
		}
		return refuse(notFound)
	}
	panic("the model does not know an event")
}

func bounding(q *event.Quota) *event.Quota {
	if q.GetBytes()+q.GetObjects() == 0 {
		return nil
	}
	return q
}

// holds counts what a bucket holds, to the last version and part.
func (m *model) holds(bucket uint64) held {
	u := m.usage(bucket)
	return held{u.Objects + u.Noncurrent, u.Bytes + u.NoncurrentBytes + u.PartBytes}
}

// ownerHolds counts what the buckets of an account hold.
func (m *model) ownerHolds(owner string) (sum held) {
	for id, b := range m.buckets {
		if b.row.Owner == owner {
			h := m.holds(id)
			sum.objects, sum.bytes = sum.objects+h.objects, sum.bytes+h.bytes
		}
	}
	return sum
}

// overQuota tells whether something grew above its bound since before.
func (m *model) overQuota(before *model) bool {
	over := func(q *event.Quota, was, is held) bool {
		return q.GetBytes() > 0 && is.bytes > q.Bytes && is.bytes > was.bytes || q.GetObjects() > 0 && is.objects > q.Objects && is.objects > was.objects
	}
	for id, b := range before.buckets {
		if b.row.Quota != nil && over(b.row.Quota, before.holds(id), m.holds(id)) {
			return true
		}
	}
	for owner, q := range before.quotas {
		if over(q, before.ownerHolds(owner), m.ownerHolds(owner)) {
			return true
		}
	}
	return false
}

func (m *model) moveCursor(b *event.CursorSet, name string) *event.Outcome {
	at := cursorPlace{b.Bucket, b.Kind, name}
	_, ok := m.buckets[b.Bucket]
	switch {
	case name == "" || !text(name) || b.Kind == 0 || b.To <= b.From || b.To > m.seq:
		return refuse(invalid)
	case b.Bucket != 0 && !ok:
		return refuse(noBucket)
	case m.cursors[at].GetNext() != b.From:
		return refuse(conflict)
	}
	m.cursors[at] = &Cursor{Next: b.To, Time: m.now}
	return nil
}

func (m *model) dropCursor(b *event.CursorDeleted, name string) *event.Outcome {
	at := cursorPlace{b.Bucket, b.Kind, name}
	if m.cursors[at] == nil {
		return refuse(notFound)
	}
	delete(m.cursors, at)
	return nil
}
