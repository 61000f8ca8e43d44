package fsm

import "ironman/wal/event"

// transact draws a transaction, mostly of different keys of one bucket.
func (g *generator) transact(d *event.Draft) {
	bucket := g.bucket()
	if up := g.upload(); g.odds(2) {
		bucket = up.bucket
	}
	b := &event.TransactionCommitted{Bucket: bucket, Request: []byte(g.one("", "asked", "asked again"))}
	used := map[string]bool{}
	for range g.choose(5) {
		op, at, ordinal := &event.TransactionOperation{}, objectPlace{bucket, g.key()}, len(b.Operations)
		switch g.choose(4) {
		case 0, 1:
			up := g.upload()
			if at = up.objectPlace; up.bucket != bucket && !g.odds(10) {
				continue
			}
			op.Completed = g.completion(up)
		case 2:
			src := g.object()
			if g.odds(2) {
				src = g.versioned()
			}
			v := g.anyVersion(src)
			from := g.m.find(src, v)
			op.Copied = &event.ObjectPut{
				Bucket: bucket, Source: &event.CopySource{Bucket: src.bucket, Version: v}, Size: from.GetSize(), Etag: g.one("e1", "e2"),
				Owner: g.owner(), Acl: g.acl(alice), Condition: g.condition(at), Lock: g.lock(bucket), Encryption: g.encryption(from.GetEncryption().GetKind()),
			}
			d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, ordinal, src.name)
			if g.odds(4) {
				d.AddMessage(event.ItemKind_ITEM_KIND_TAGS, ordinal, &event.Tags{Tags: []*event.Tag{{Key: "k", Value: "v"}}})
			}
		default:
			if v := g.versioned(); v.bucket == bucket && g.odds(2) {
				at = v
			}
			op.Deleted = &event.DeleteTarget{Condition: g.condition(at), NullVersion: g.odds(6), BypassGovernance: g.odds(3)}
			if g.odds(3) {
				op.Deleted.Version = g.anyVersion(at)
			}
		}
		if used[at.name] && !g.odds(10) {
			d.Items = nil // begin again
			b.Operations, used = nil, map[string]bool{}
			continue
		}
		used[at.name] = true
		switch g.choose(60) {
		case 0:
			op.Deleted = &event.DeleteTarget{}
		case 1:
			op.Completed, op.Copied, op.Deleted = nil, nil, nil
		case 2:
			if op.Copied != nil {
				op.Copied.Source = nil
			}
		case 3:
			if op.Copied != nil {
				op.Copied.Blobs = []*event.Blob{g.blob()}
			}
		}
		b.Operations = append(b.Operations, op)
		d.AddText(event.ItemKind_ITEM_KIND_KEY, ordinal, at.name)
	}
	d.Statement.Body = &event.Statement_TransactionCommitted{TransactionCommitted: b}
}
