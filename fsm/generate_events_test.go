package fsm

import (
	"fmt"
	"maps"

	"ironman/wal/event"
)

// begin draws the events that nearly everything else needs.
func (g *generator) begin(retention int64) []*event.Draft {
	var drafts []*event.Draft
	add := func(s *event.Statement, items ...string) {
		g.ids++
		s.Header = &event.Header{FeatureLevel: g.level, RequestId: id16(g.ids)}
		d := &event.Draft{Statement: s}
		for i, text := range items {
			d.AddText(event.ItemKind_ITEM_KIND_BUCKET_NAME, i, text)
		}
		drafts = append(drafts, d)
	}
	add(&event.Statement{Body: &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{
		ClusterId: make([]byte, 16), FeatureLevel: g.level, HistoryRetention: retention, ReleaseGrace: int64(g.choose(3)) * 5e9,
	}}})
	level := uint32(2 + g.choose(2)*(1+g.choose(2))) // half of them stay at 2
	for n := uint32(1); n <= 2; n++ {
		if g.level > 1 {
			add(&event.Statement{Body: &event.Statement_NodeAdded{NodeAdded: &event.NodeAdded{PublicKey: []byte{byte(n)}}}})
		}
		add(&event.Statement{Body: &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: n, PublicKey: []byte{byte(n)}, Boot: 1, FeatureLevel: level}}})
		id := make([]byte, 16)
		id[0] = byte(n)
		add(&event.Statement{Body: &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{DiskId: id, Node: n}}})
	}
	add(&event.Statement{Body: &event.Statement_BucketCreated{BucketCreated: &event.BucketCreated{Owner: alice, Acl: private(alice)}}}, "one")
	if level > 2 {
		add(&event.Statement{Body: &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: level}}})
	}
	return drafts
}

// draft draws one event.
func (g *generator) draft() *event.Draft {
	d := event.NewDraft(g.request(), nil)
	kind := g.choose(60)
	if g.revive(d) {
		kind = -1
	}
	switch kind {
	default:
		g.put(d)
	case -1: // it is drawn
	case 0, 1, 2, 3:
		g.delete(d)
	case 4, 5:
		at := g.object()
		owner := g.m.objects[at].row.GetOwner()
		if g.odds(10) {
			owner = "someone"
		}
		d.Statement.Body = &event.Statement_ObjectAclSet{ObjectAclSet: &event.ObjectACLSet{Bucket: at.bucket, Version: g.anyVersion(at), Acl: g.acl(owner)}}
		d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, at.name)
	case 6, 7:
		at := objectPlace{g.bucket(), g.key()}
		b := &event.UploadCreated{Bucket: at.bucket, Owner: g.owner(), Initiator: "i", Acl: g.acl(alice), Lock: g.lock(at.bucket)}
		if g.odds(3) {
			b.Encryption = &event.Encryption{Kind: event.EncryptionKind(1 + g.choose(2)), KeyId: "k"}
		}
		d.Statement.Body = &event.Statement_UploadCreated{UploadCreated: b}
		g.describe(d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, at.name))
	case 8, 9, 10, 11, 12:
		g.part(d)
	case 13, 14, 15:
		g.complete(d)
	case 16:
		up := g.upload()
		d.Statement.Body = &event.Statement_UploadAborted{UploadAborted: &event.UploadAborted{Bucket: up.bucket, Upload: up.version()}}
		d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, up.name)
	case 17, 18, 19:
		g.release(d)
	case 20, 21:
		g.place(d)
	case 22:
		d.Statement.Body = &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{To: uint64(g.choose(int(g.m.seq) + 2)), Rows: uint32(g.choose(6))}}
	case 23, 24, 25:
		g.topology(d)
	case 26, 27, 28:
		g.bucketEvent(d)
	case 29, 30, 47, 48:
		g.identity(d)
	case 31:
		id := id16(uint64(1 + g.choose(int(g.ids)+2)))
		if g.odds(8) {
			id = id[:3]
		}
		d.Statement.Body = &event.Statement_Cancel{Cancel: &event.Cancel{RequestId: id}}
	case 32, 33, 34:
		g.settings(d)
	case 35, 36, 37, 38, 39, 40, 41, 42, 43, 44:
		g.versionEvent(d)
	case 45, 46:
		g.cursor(d)
	case 49, 50, 51:
		if g.m.cluster.GetFeatureLevel() < 4 && !g.odds(30) {
			g.complete(d)
			break
		}
		g.transact(d)
	case 52, 53, 54:
		g.retention(d)
	case 55:
		g.erase(d)
	case 56:
		g.placeBlobs(d)
		if g.odds(6) {
			g.epoch(d)
		}
	case 57:
		g.noteReads(d)
	}
	// Mostly in the vocabulary that its kind needs.
	if need := d.Statement.Level(); need > d.Statement.Header.FeatureLevel && !g.odds(20) {
		d.Statement.Header.FeatureLevel = need
	}
	return d
}

func (g *generator) describe(d *event.Draft) {
	switch g.choose(8) {
	case 0:
		d.AddMessage(event.ItemKind_ITEM_KIND_HEADERS, 0, &event.Headers{ContentType: "text/plain"})
	case 1:
		d.AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, &event.Tags{Tags: []*event.Tag{{Key: "k", Value: "v"}, {Key: "a", Value: "b"}, {Key: "n"}}})
	case 2:
		d.AddText(event.ItemKind_ITEM_KIND_HEADERS, 0, "\x0a\x7f") // torn
	}
}

func (g *generator) put(d *event.Draft) {
	at := objectPlace{g.bucket(), g.key()}
	if g.odds(3) {
		at = g.object()
	}
	b := &event.ObjectPut{Bucket: at.bucket, Etag: g.one("e1", "e2", "e3"), Owner: g.owner(), Acl: g.acl(alice), Condition: g.condition(at), Lock: g.lock(at.bucket)}
	switch g.choose(12) {
	default:
		b.Blobs = []*event.Blob{g.blob()}
	case 0, 1:
	case 2, 3, 4:
		src := g.object()
		b.Source = &event.CopySource{Bucket: src.bucket, Version: g.anyVersion(src)}
		b.Size = g.m.find(src, b.Source.Version).GetSize()
		b.Encryption = g.encryption(g.m.find(src, b.Source.Version).GetEncryption().GetKind())
		d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, src.name)
	case 5:
		b.Blobs = []*event.Blob{g.blob(), g.blob()}
	case 6:
		b.Segments = []*event.Segment{g.segment(), g.segment()}
	case 7:
		b.Blobs = []*event.Blob{g.blob()}
		b.Segments = []*event.Segment{g.segment(), {Blob: b.Blobs[0].Id, Length: b.Blobs[0].Size}}
		if g.odds(3) {
			b.Segments = b.Segments[:1] // nobody would hold the new blob
		}
	}
	if b.Source == nil {
		b.Encryption = g.encryption(event.EncryptionKind(g.choose(6)))
		g.wrap(b.Encryption, b.Blobs, b.Segments)
		b.Size = total(b.Segments)
		if len(b.Segments) == 0 {
			b.Size = total(g.m.whole(b.Encryption, b.Blobs))
		}
	}
	switch g.choose(60) {
	case 0:
		b.Size++
	case 1:
		b.Acl = nil
	case 2:
		at.name = string(make([]byte, g.choose(2)*1025))
	case 3:
		b.Segments = append(b.Segments, g.segment())
	}
	d.Statement.Body = &event.Statement_ObjectPut{ObjectPut: b}
	g.describe(d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, at.name))
}

// encryption is one of a kind, mostly.
func (g *generator) encryption(kind event.EncryptionKind) *event.Encryption {
	if g.odds(20) {
		kind = event.EncryptionKind(g.choose(4))
	}
	if kind > 3 || kind == 0 && g.odds(2) {
		return nil
	}
	return &event.Encryption{Kind: kind}
}

// wrap gives an encryption those of all blobs, mostly.
func (g *generator) wrap(e *event.Encryption, blobs []*event.Blob, segments []*event.Segment) {
	if e == nil {
		return
	}
	for _, s := range append(wholes(nil, blobs), segments...) {
		if !g.odds(40) {
			e.Keys = append(e.Keys, &event.WrappedKey{Blob: s.Blob, Wrapped: []byte{byte(g.choose(9))}})
		}
	}
}

func (g *generator) delete(d *event.Draft) {
	b := &event.ObjectsDeleted{Bucket: g.bucket()}
	for i := range g.choose(4) {
		at := objectPlace{b.Bucket, g.key()}
		if v := g.versioned(); v.bucket == b.Bucket && g.odds(2) {
			at = v
		}
		target := &event.DeleteTarget{Condition: g.condition(at), NullVersion: g.odds(6), BypassGovernance: g.odds(3)}
		if g.odds(3) {
			target.Version = g.anyVersion(at)
		}
		b.Targets = append(b.Targets, target)
		ordinal := i
		if g.odds(60) {
			ordinal += 10
		}
		d.AddText(event.ItemKind_ITEM_KIND_KEY, ordinal, at.name)
	}
	d.Statement.Body = &event.Statement_ObjectsDeleted{ObjectsDeleted: b}
}

func (p uploadPlace) version() *event.Version {
	return &event.Version{Seq: p.upload.seq, Ordinal: p.upload.ordinal}
}

func (g *generator) upload() uploadPlace {
	up, ok := pick(g, g.m.uploads, func(p uploadPlace) string { return number(p.upload.seq) })
	if !ok || g.odds(20) {
		return uploadPlace{g.object(), moment{seq: uint64(g.choose(50))}}
	}
	return up
}

func (g *generator) part(d *event.Draft) {
	up := g.upload()
	b := &event.PartPut{Bucket: up.bucket, Upload: up.version(), Number: uint32(1 + g.choose(4)), Etag: "p"}
	if g.odds(30) {
		b.Number = uint32(g.choose(2)) * 10001
	}
	if g.odds(3) {
		src := g.object()
		b.Source = &event.CopySource{Bucket: src.bucket, Version: g.anyVersion(src)}
		d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, src.name)
	}
	if b.Source != nil && !g.odds(3) || g.odds(60) {
		b.Segments = []*event.Segment{g.segment()}
	}
	if len(b.Segments) == 0 && !g.odds(8) || g.odds(60) {
		b.Blobs = []*event.Blob{g.blob()}
	}
	b.Encryption = g.encryption(g.m.uploads[up].GetEncryption().GetKind())
	g.wrap(b.Encryption, b.Blobs, b.Segments)
	b.Size = total(b.Segments) + total(g.m.whole(b.Encryption, b.Blobs))
	if g.odds(30) {
		b.Size++
	}
	d.Statement.Body = &event.Statement_PartPut{PartPut: b}
	d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, up.name)
}

func (g *generator) complete(d *event.Draft) {
	up := g.upload()
	if at := g.object(); g.m.objects[at].row.GetUpload() != nil && g.odds(2) { // once more
		up = uploadPlace{at, ver(g.m.objects[at].row.Upload)}
	}
	d.Statement.Body = &event.Statement_UploadCompleted{UploadCompleted: g.completion(up)}
	d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, up.name)
}

// completion is of most parts of an upload.
func (g *generator) completion(up uploadPlace) *event.UploadCompleted {
	b := &event.UploadCompleted{Bucket: up.bucket, Upload: up.version(), Etag: "c", Condition: g.condition(up.objectPlace)}
	for _, p := range g.m.partsOf(up.upload) {
		if g.odds(4) {
			continue
		}
		b.Parts = append(b.Parts, &event.CompletedPart{Number: p.Number, Seq: p.Seq})
		b.Size += p.Size
	}
	if n := len(b.Parts); n > 0 {
		switch g.choose(20) {
		case 0:
			b.Parts[g.choose(n)].Seq--
		case 1:
			b.Parts[0], b.Parts[n-1] = b.Parts[n-1], b.Parts[0]
		case 2:
			b.Parts = append(b.Parts, b.Parts[n-1])
		case 3:
			b.Size++
		}
	}
	return b
}

func (g *generator) release(d *event.Draft) {
	b := &event.BlobsReleased{}
	for range g.choose(6) {
		if k, ok := pick(g, g.m.blobs, func(k [16]byte) string { return string(k[:]) }); ok {
			b.Blobs = append(b.Blobs, event.BlobIDFromKey(k))
		}
		if v, ok := pick(g, g.m.assemblies, func(v moment) string { return number(v.seq) + number(uint64(v.ordinal)) }); ok {
			b.Assemblies = append(b.Assemblies, &event.AssemblyRelease{Assembly: &event.Version{Seq: v.seq, Ordinal: v.ordinal}, Segments: uint32(g.choose(4))})
		}
	}
	if g.odds(10) {
		b.Blobs = append(b.Blobs, &event.BlobID{Counter: 1})
		b.Assemblies = append(b.Assemblies, &event.AssemblyRelease{})
	}
	d.Statement.Body = &event.Statement_BlobsReleased{BlobsReleased: b}
}

func (g *generator) place(d *event.Draft) {
	b := &event.ShardsPlaced{}
	for range 1 + g.choose(3) {
		p := &event.Placement{Blob: &event.BlobID{}, FromGeneration: uint32(g.choose(3))}
		if k, ok := pick(g, g.m.blobs, func(k [16]byte) string { return string(k[:]) }); ok {
			shards := g.m.blobs[k].blob.Shards
			p.Blob, p.Index = event.BlobIDFromKey(k), uint32(g.choose(len(shards)+1))
			if int(p.Index) < len(shards) && !g.odds(6) {
				p.FromGeneration = shards[p.Index].Generation
			}
		}
		if !g.odds(20) {
			p.Shard = g.shard(g.disk(), p.FromGeneration+uint32(g.choose(10)))
		}
		b.Placements = append(b.Placements, p)
	}
	d.Statement.Body = &event.Statement_ShardsPlaced{ShardsPlaced: b}
}

func (g *generator) topology(d *event.Draft) {
	node := g.node()
	boot := g.m.nodes[node].GetBoot() + uint64(g.choose(4))
	switch g.choose(15) {
	case 8, 10:
		d.Statement.Body = &event.Statement_NodeAdded{NodeAdded: &event.NodeAdded{PublicKey: []byte{byte(g.choose(60))}, LinkAddress: "a"}}
	case 9, 11:
		// The rest needs some that stay, but for an epoch.
		later := maps.Collect(func(yield func(uint32, *Node) bool) {
			for number, n := range g.m.nodes {
				if number > 2 && !(yield(number, n)) {
					return
				}
			}
		})
		if n, ok := pick(g, later, func(n uint32) string { return number(uint64(n)) }); ok {
			node = n
		}
		d.Statement.Body = &event.Statement_NodeRemoved{NodeRemoved: &event.NodeRemoved{Node: max(node, 3)}}
	case 0, 1:
		d.Statement.Body = &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{
			Node: node, PublicKey: g.public(node)[g.choose(10)/9:], Boot: boot, LinkAddress: "a", FeatureLevel: 4 - uint32(g.choose(10)/9),
		}}
	case 2, 3:
		id := make([]byte, 16-g.choose(10)/9)
		id[0] = byte(g.choose(12))
		d.Statement.Body = &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{DiskId: id, Node: node, Slot: uint32(g.choose(10) / 9)}}
	case 4, 5:
		b := &event.BlobsAbandoned{Blobs: []*event.BlobID{{Incarnation: uint64(g.choose(30)), Counter: g.blobs + uint64(g.choose(3))}}}
		if inc, ok := pick(g, g.m.incarnations, number); ok {
			b.Blobs = append(b.Blobs, &event.BlobID{Incarnation: inc, Counter: g.blobs + uint64(g.choose(4))})
		}
		d.Statement.Body = &event.Statement_BlobsAbandoned{BlobsAbandoned: b}
	case 6:
		b := &event.PacksReleased{Disk: g.disk()}
		for range g.choose(4) {
			s := g.shard(b.Disk, 1)
			b.Packs = append(b.Packs, &event.PackID{Incarnation: s.Pack.Incarnation - uint64(g.choose(3)), Counter: s.Pack.Counter})
		}
		if at, ok := pick(g, g.m.packs, func(p packPlace) string {
			return number(uint64(p.disk)) + number(p.incarnation) + number(p.counter)
		}); ok {
			b.Packs = append(b.Packs, &event.PackID{Incarnation: at.incarnation, Counter: at.counter})
		}
		d.Statement.Body = &event.Statement_PacksReleased{PacksReleased: b}
	default:
		if !g.odds(3) {
			d.Statement.Body = &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: uint32([]int{0, 1, 2, 2, 3, 3, 4, 4, 5}[g.choose(9)])}}
			return
		}
		d.Statement.Body = &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{ClusterId: make([]byte, 16), FeatureLevel: 1}}
	}
}

func (g *generator) bucketEvent(d *event.Draft) {
	id := g.bucket()
	switch g.choose(8) {
	case 0, 1:
		d.Statement.Body = &event.Statement_BucketCreated{BucketCreated: &event.BucketCreated{Owner: g.owner(), Acl: g.acl(alice), Region: "r", ObjectLock: g.odds(4)}}
		d.AddText(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0, g.one("one", "two", "three", "three", "\xff", ""))
		for range g.choose(3) - 1 {
			d.AddText(event.ItemKind_ITEM_KIND_DOCUMENT, []int{0, 1, 2, 3, 3, 4, 99}[g.choose(7)], "with it")
		}
	case 2, 6, 7:
		d.Statement.Body = &event.Statement_BucketDeleted{BucketDeleted: &event.BucketDeleted{Bucket: id}}
	case 3:
		owner := g.m.buckets[id].row.GetOwner()
		if g.odds(8) {
			owner = "someone"
		}
		d.Statement.Body = &event.Statement_BucketAclSet{BucketAclSet: &event.BucketACLSet{Bucket: id, Acl: g.acl(owner)}}
	default:
		b := &event.BucketDocumentSet{Bucket: id, Kind: event.DocumentKind(g.choose(4)), Confirmed: g.odds(3)}
		d.Statement.Body = &event.Statement_BucketDocumentSet{BucketDocumentSet: b}
		if !g.odds(3) {
			d.AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, g.one("x", "y", "\xff"))
		}
	}
}

func (g *generator) identity(d *event.Draft) {
	if g.m.hasVault() && !g.odds(3) {
		g.vault(d)
		return
	}
	account := fmt.Sprint(1 + g.choose(3))
	user, access := g.one("u1", "u2"), g.one("k1", "k2")
	name := g.one("", "name", "\xfe")
	switch g.choose(6) {
	case 0, 1:
		d.Statement.Body = &event.Statement_AccountCreated{AccountCreated: &event.AccountCreated{Account: account, CanonicalId: g.one(alice, bob, alice[1:], "A"+alice[1:])}}
		d.AddText(event.ItemKind_ITEM_KIND_NAME, 0, name).AddText(event.ItemKind_ITEM_KIND_NAME, 1, g.one("", "x@y"))
	case 2:
		d.Statement.Body = &event.Statement_UserCreated{UserCreated: &event.UserCreated{User: user, Account: account}}
		d.AddText(event.ItemKind_ITEM_KIND_NAME, 0, name)
	case 3:
		d.Statement.Body = &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{
			AccessKey: access, Account: account, User: g.one("", user), SealedSecret: []byte(g.one("s", "s", "")),
		}}
	case 4:
		d.Statement.Body = &event.Statement_AccessKeyStatusSet{AccessKeyStatusSet: &event.AccessKeyStatusSet{AccessKey: access, Active: g.odds(2)}}
	case 5:
		d.Statement.Body = &event.Statement_AccessKeyDeleted{AccessKeyDeleted: &event.AccessKeyDeleted{AccessKey: access}}
	}
}
