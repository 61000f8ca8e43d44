package fsm

import (
	"encoding/binary"
	"fmt"

	"ironman/wal/event"
)

// versioned is the place of a key that has more than a current object, if possible.
func (g *generator) versioned() objectPlace {
	p, ok := pick(g, g.m.versions, func(p versionPlace) string {
		return number(p.bucket) + p.name + "\x00" + number(p.version.seq) + number(uint64(p.version.ordinal))
	})
	if !ok {
		return g.object()
	}
	return p.objectPlace
}

// anyVersion is one of a key's versions or markers, mostly the newest.
func (g *generator) anyVersion(at objectPlace) *event.Version {
	chain := g.m.chain(at)
	if len(chain) == 0 || g.odds(10) {
		return &event.Version{Seq: uint64(g.choose(50))}
	}
	if g.odds(2) {
		return chain[0].Version
	}
	return chain[g.choose(len(chain))].Version
}

// lock is a lock whose retention soon passes, mostly where it may be.
func (g *generator) lock(bucket uint64) *event.Lock {
	allowed := g.m.buckets[bucket].row.GetObjectLock()
	if allowed && !g.odds(3) || !allowed && !g.odds(40) {
		return nil
	}
	return g.anyLock()
}

func (g *generator) anyLock() *event.Lock {
	l := &event.Lock{LegalHold: g.odds(6)}
	if !g.odds(4) {
		l.Mode = event.RetentionMode(1 + g.choose(2))
		l.RetainUntil = g.m.now + int64(g.choose(8)-1)*2e9
	}
	if g.odds(30) {
		l.RetainUntil = int64(g.choose(3) - 1)
	}
	return l
}

// settings draws what changes how a bucket treats its objects.
func (g *generator) settings(d *event.Draft) {
	id := g.bucket()
	switch g.choose(12) {
	default:
		state := event.VersioningState([]int{0, 1, 1, 1, 1, 2, 2, 2}[g.choose(8)])
		d.Statement.Body = &event.Statement_BucketVersioningSet{BucketVersioningSet: &event.BucketVersioningSet{Bucket: id, State: state}}
	case 0, 1:
		b := &event.BucketLockSet{Bucket: id}
		if g.odds(2) {
			b.Mode = event.RetentionMode(1 + g.choose(2))
			b.Days = uint32(1 + g.choose(100))
		}
		switch g.choose(10) {
		case 0:
			b.Years = uint32(g.choose(102))
		case 1:
			b.Mode, b.Days, b.Years = event.RetentionMode_RETENTION_MODE_COMPLIANCE, 0, 100
		case 2:
			b.Days = 36501
		}
		d.Statement.Body = &event.Statement_BucketLockSet{BucketLockSet: b}
	case 2, 3:
		d.Statement.Body = &event.Statement_BucketQuotaSet{BucketQuotaSet: &event.BucketQuotaSet{Bucket: id, Quota: g.quota(g.m.holds(id))}}
	case 4, 5:
		owner := g.owner()
		b := &event.AccountQuotaSet{Account: g.m.accounts[owner].GetAccount(), Quota: g.quota(g.m.ownerHolds(owner))}
		d.Statement.Body = &event.Statement_AccountQuotaSet{AccountQuotaSet: b}
	}
}

// quota is a little more than what there is, or a little less, or none.
func (g *generator) quota(h held) *event.Quota {
	q := &event.Quota{}
	switch g.choose(4) {
	case 0:
		q.Bytes = h.bytes + uint64(g.choose(3000))
	case 1:
		q.Objects = h.objects + uint64(g.choose(4))
	case 2:
		q.Bytes, q.Objects = 1+h.bytes/2, 1+h.objects
	case 3:
		return nil
	}
	return q
}

// versionEvent draws an event about versions that are there, mostly.
func (g *generator) versionEvent(d *event.Draft) {
	at := g.object()
	if g.odds(2) {
		at = g.versioned()
	}
	key := event.ItemKind_ITEM_KIND_KEY
	switch g.choose(13) {
	case 10, 11, 12:
		g.restore(d)
	case 0, 1:
		d.Statement.Body = &event.Statement_ObjectTagsSet{ObjectTagsSet: &event.ObjectTagsSet{Bucket: at.bucket, Version: g.anyVersion(at)}}
		g.describe(d.AddText(key, 0, at.name))
	case 2, 3:
		b := &event.ObjectLockSet{
			Bucket: at.bucket, Version: g.anyVersion(at), Lock: g.anyLock(), Retention: !g.odds(4), LegalHold: g.odds(3), BypassGovernance: g.odds(2),
		}
		if g.odds(20) {
			b.Lock = nil
		}
		d.Statement.Body = &event.Statement_ObjectLockSet{ObjectLockSet: b}
		d.AddText(key, 0, at.name)
	case 4, 5:
		g.rename(d)
	case 6, 7:
		g.append(d)
	default:
		g.expire(d)
	}
}

func (g *generator) rename(d *event.Draft) {
	from, to := g.object(), g.object()
	b := &event.ObjectRenamed{Bucket: from.bucket, Version: g.version(from)}
	if to.bucket != from.bucket || g.odds(2) {
		to = objectPlace{from.bucket, g.key()}
	}
	if g.odds(3) {
		b.Condition, b.SourceCondition = g.condition(to), g.condition(from)
	}
	d.Statement.Body = &event.Statement_ObjectRenamed{ObjectRenamed: b}
	d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, to.name).AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, from.name)
}

func (g *generator) append(d *event.Draft) {
	at := g.object()
	old := g.m.objects[at].row
	b := &event.ObjectAppended{
		Bucket: at.bucket, Offset: old.GetSize(), Etag: g.one("e1", "e2"), Owner: g.owner(), Acl: g.acl(alice), Condition: g.condition(at),
	}
	if old != nil && !g.odds(10) {
		b.Version = old.Version
	}
	for range g.choose(3) {
		b.Blobs = append(b.Blobs, g.blob())
	}
	if old.GetEncryption() != nil && !g.odds(6) {
		b.Encryption = &event.Encryption{Kind: old.Encryption.Kind, KeyId: old.Encryption.KeyId}
		g.wrap(b.Encryption, b.Blobs, nil)
	}
	switch g.choose(20) {
	case 0, 1:
		b.Offset += 1 + uint64(g.choose(10))
	case 2:
		b.Acl = nil
	}
	b.Size = b.Offset + total(g.m.whole(b.Encryption, b.Blobs))
	if g.odds(30) {
		b.Size++
	}
	d.Statement.Body = &event.Statement_ObjectAppended{ObjectAppended: b}
	g.describe(d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, at.name))
}

func (g *generator) expire(d *event.Draft) {
	first := g.versioned()
	b := &event.ObjectsExpired{Bucket: first.bucket}
	for i := range 1 + g.choose(3) {
		at := first
		if i > 0 {
			at = g.versioned()
		}
		kind := event.ExpiredKind(1 + g.choose(3))
		if g.odds(60) {
			kind = 0
		}
		b.Targets = append(b.Targets, &event.ExpiredTarget{Version: g.anyVersion(at), Kind: kind})
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, at.name)
	}
	d.Statement.Body = &event.Statement_ObjectsExpired{ObjectsExpired: b}
}

func (g *generator) restore(d *event.Draft) {
	trimmed := g.m.cluster.GetHistoryTrimmed()
	b := &event.ObjectsRestored{Bucket: g.bucket(), Seen: g.m.seq, To: trimmed + 1 + uint64(g.choose(int(g.m.seq-min(g.m.seq, trimmed)+1)))}
	// Mostly behind a change, so that there is something to restore.
	first := g.object()
	if row, ok := g.m.objects[first]; ok && !g.odds(4) {
		b.Bucket, b.To = first.bucket, row.from
		if row.row.Version.Seq != row.from {
			b.To = row.row.Version.Seq + 1
		}
	} else if h, ok := g.superseded(); ok && !g.odds(4) {
		first = objectPlace{binary.BigEndian.Uint64([]byte(h.key[1:])), h.key[9:]}
		b.Bucket, b.To = first.bucket, h.from+1
	}
	b.Source = b.Bucket
	switch g.choose(12) {
	case 0:
		b.To = uint64(g.choose(int(trimmed + 1)))
	case 1, 2, 3:
		b.Seen -= min(b.Seen, uint64(g.choose(20)))
	case 4:
		b.Seen++
	case 5, 6:
		b.Source = g.bucket()
	}
	for range g.choose(5) {
		at := first
		if g.odds(3) {
			at = objectPlace{b.Bucket, g.key()}
		}
		ordinal := int(b.Keys)
		if g.odds(60) {
			ordinal += 10
		}
		d.AddText(event.ItemKind_ITEM_KIND_KEY, ordinal, at.name)
		b.Keys++
	}
	if g.odds(40) {
		b.Keys += 1000
	}
	d.Statement.Body = &event.Statement_ObjectsRestored{ObjectsRestored: b}
}

// superseded draws a row of an object from history.
func (g *generator) superseded() (past, bool) {
	rows := make(map[string]past)
	for _, h := range g.m.history {
		if tableOf([]byte(h.key)) == tableObject {
			rows[number(h.to)+h.key] = h
		}
	}
	k, ok := pick(g, rows, func(k string) string { return k })
	return rows[k], ok
}

func (g *generator) cursor(d *event.Draft) {
	at, ok := pick(g, g.m.cursors, func(p cursorPlace) string { return number(p.bucket) + fmt.Sprint(p.kind) + p.name })
	if !ok || g.odds(3) {
		at = cursorPlace{g.bucket() * uint64(g.choose(2)), event.CursorKind(1 + g.choose(2)), g.one("c", "d", "", "\xff")}
	}
	if g.odds(6) {
		d.Statement.Body = &event.Statement_CursorDeleted{CursorDeleted: &event.CursorDeleted{Kind: at.kind, Bucket: at.bucket}}
	} else {
		b := &event.CursorSet{Kind: at.kind, Bucket: at.bucket, From: g.m.cursors[at].GetNext(), To: g.m.seq}
		switch g.choose(10) {
		case 0:
			b.From++
		case 1:
			b.To = uint64(g.choose(int(g.m.seq) + 3))
		case 2:
			b.Kind = 0
		}
		d.Statement.Body = &event.Statement_CursorSet{CursorSet: b}
	}
	d.AddText(event.ItemKind_ITEM_KIND_NAME, 0, at.name)
}
