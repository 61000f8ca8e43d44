package fsm

import (
	"bytes"
	"encoding/hex"
	"maps"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

const (
	invalid  = event.Refusal_REFUSAL_INVALID
	notFound = event.Refusal_REFUSAL_NOT_FOUND
	conflict = event.Refusal_REFUSAL_CONFLICT
	exists   = event.Refusal_REFUSAL_EXISTS
	changed  = event.Refusal_REFUSAL_SOURCE_CHANGED
	fenced   = event.Refusal_REFUSAL_BLOB_FENCED
	noBucket = event.Refusal_REFUSAL_NO_SUCH_BUCKET
	none     = event.Refusal_REFUSAL_NONE
)

// dispatch gives the outcome of an event, nil for a plain acceptance. What a
// refused event has done to m is thrown away.
func (m *model) dispatch(p *event.Parsed) *event.Outcome {
	s := p.Statement
	key := p.Text(event.ItemKind_ITEM_KIND_KEY, 0)
	switch b := s.Body.(type) {
	case *event.Statement_ClusterInitialized:
		return m.initialize(b.ClusterInitialized)
	case *event.Statement_NodeAdded:
		return m.addNode(b.NodeAdded)
	case *event.Statement_EpochBegun:
		return m.beginEpoch(b.EpochBegun)
	case *event.Statement_NodeRemoved:
		return m.removeNode(b.NodeRemoved.Node)
	case *event.Statement_NodeStarted:
		return m.startNode(b.NodeStarted)
	case *event.Statement_DiskAdded:
		return m.addDisk(b.DiskAdded)
	case *event.Statement_FeatureLevelRaised:
		return m.raise(b.FeatureLevelRaised.FeatureLevel)
	case *event.Statement_Cancel:
		return m.cancel(b.Cancel)
	case *event.Statement_BlobsAbandoned:
		return m.abandon(b.BlobsAbandoned)
	case *event.Statement_BlobsReleased:
		return m.release(b.BlobsReleased)
	case *event.Statement_ShardsPlaced:
		return m.place(b.ShardsPlaced)
	case *event.Statement_BlobsPlaced:
		return m.placeBlobs(b.BlobsPlaced)
	case *event.Statement_PacksReleased:
		return m.releasePacks(b.PacksReleased)
	case *event.Statement_HistoryTrimmed:
		return m.trim(b.HistoryTrimmed)
	case *event.Statement_HistoryRetentionSet:
		return m.retain(b.HistoryRetentionSet)
	case *event.Statement_PayloadsErased:
		return m.erase(b.PayloadsErased)
	case *event.Statement_ReadsNoted:
		return m.noteReads(b.ReadsNoted)
	case *event.Statement_AccountCreated, *event.Statement_UserCreated, *event.Statement_AccessKeyCreated,
		*event.Statement_AccessKeyStatusSet, *event.Statement_AccessKeyDeleted:
		return m.identity(p)
	case *event.Statement_BucketCreated:
		return m.createBucket(p, b.BucketCreated, p.Text(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0))
	case *event.Statement_BucketDeleted:
		return m.deleteBucket(b.BucketDeleted.Bucket)
	case *event.Statement_BucketAclSet:
		return m.bucketACL(b.BucketAclSet)
	case *event.Statement_BucketVersioningSet, *event.Statement_BucketLockSet, *event.Statement_BucketQuotaSet, *event.Statement_AccountQuotaSet:
		return m.bucketSettings(s)
	case *event.Statement_CursorSet:
		return m.moveCursor(b.CursorSet, p.Text(event.ItemKind_ITEM_KIND_NAME, 0))
	case *event.Statement_CursorDeleted:
		return m.dropCursor(b.CursorDeleted, p.Text(event.ItemKind_ITEM_KIND_NAME, 0))
	case *event.Statement_BucketDocumentSet:
		return m.document(p, b.BucketDocumentSet)
	case *event.Statement_ObjectPut:
		return m.put(p, b.ObjectPut, objectPlace{b.ObjectPut.Bucket, key})
	case *event.Statement_ObjectsDeleted:
		return m.deleteObjects(p, b.ObjectsDeleted)
	case *event.Statement_ObjectAclSet:
		return m.objectACL(b.ObjectAclSet, objectPlace{b.ObjectAclSet.Bucket, key})
	case *event.Statement_ObjectTagsSet:
		return m.setTags(p, b.ObjectTagsSet, objectPlace{b.ObjectTagsSet.Bucket, key})
	case *event.Statement_ObjectLockSet:
		return m.setLock(b.ObjectLockSet, objectPlace{b.ObjectLockSet.Bucket, key})
	case *event.Statement_ObjectRenamed:
		return m.rename(p, b.ObjectRenamed, objectPlace{b.ObjectRenamed.Bucket, key})
	case *event.Statement_ObjectAppended:
		return m.grow(p, b.ObjectAppended, objectPlace{b.ObjectAppended.Bucket, key})
	case *event.Statement_ObjectsExpired:
		return m.expire(p, b.ObjectsExpired)
	case *event.Statement_ObjectsRestored:
		return m.restore(p, b.ObjectsRestored)
	case *event.Statement_TransactionCommitted:
		return m.transact(p, b.TransactionCommitted)
	case *event.Statement_UploadCreated:
		return m.createUpload(p, b.UploadCreated, objectPlace{b.UploadCreated.Bucket, key})
	case *event.Statement_PartPut:
		return m.putPart(p, b.PartPut, objectPlace{b.PartPut.Bucket, key})
	case *event.Statement_UploadCompleted:
		return m.complete(b.UploadCompleted, objectPlace{b.UploadCompleted.Bucket, key})
	case *event.Statement_UploadAborted:
		return m.abort(b.UploadAborted, objectPlace{b.UploadAborted.Bucket, key})
	}
	return m.vaultEvent(p)
}

func (m *model) initialize(b *event.ClusterInitialized) *event.Outcome {
	if m.cluster != nil {
		return refuse(exists)
	}
	if len(b.ClusterId) != 16 || b.FeatureLevel < 1 || b.HistoryRetention < 0 || b.ReleaseGrace < 0 {
		return refuse(invalid)
	}
	m.cluster = &Cluster{ClusterId: b.ClusterId, Region: b.Region, KeyringFingerprint: b.KeyringFingerprint, LedgerOrigin: b.LedgerOrigin,
		LedgerKey: b.LedgerKey, FeatureLevel: b.FeatureLevel, HistoryRetention: b.HistoryRetention, ReleaseGrace: b.ReleaseGrace}
	return nil
}

func (m *model) startNode(b *event.NodeStarted) *event.Outcome {
	if b.Node == 0 || len(b.PublicKey) == 0 {
		return refuse(invalid)
	}
	n := m.nodes[b.Node]
	if n.GetRemoved() || n == nil && m.cluster.FeatureLevel > 1 && (b.Node != 1 || len(m.nodes) > 0) {
		return refuse(notFound)
	}
	if n != nil {
		if b.Boot <= n.Boot || !bytes.Equal(b.PublicKey, n.PublicKey) {
			return refuse(conflict)
		}
		m.fence(n)
	}
	m.incarnations[m.seq] = b.Node
	m.nodes[b.Node] = &Node{Node: b.Node, PublicKey: b.PublicKey, Boot: b.Boot, Incarnation: m.seq, LinkAddress: b.LinkAddress, Version: b.Version, FeatureLevel: b.FeatureLevel}
	return &event.Outcome{Allocated: m.seq}
}

func (m *model) fence(n *Node) {
	delete(m.incarnations, n.Incarnation)
	maps.DeleteFunc(m.abandoned, func(k [16]byte, _ bool) bool { return event.BlobIDFromKey(k).Incarnation == n.Incarnation })
}

func (m *model) addNode(b *event.NodeAdded) *event.Outcome {
	if len(b.PublicKey) == 0 || !text(b.LinkAddress) {
		return refuse(invalid)
	}
	last := uint32(0)
	for number, n := range m.nodes {
		last = max(last, number)
		if bytes.Equal(n.PublicKey, b.PublicKey) && n.Removed {
			return refuse(conflict)
		} else if bytes.Equal(n.PublicKey, b.PublicKey) {
			return &event.Outcome{Refusal: exists, Allocated: uint64(number)}
		}
	}
	m.nodes[last+1] = &Node{Node: last + 1, PublicKey: b.PublicKey, LinkAddress: b.LinkAddress}
	return &event.Outcome{Allocated: uint64(last + 1)}
}

func (m *model) removeNode(number uint32) *event.Outcome {
	n := m.nodes[number]
	if n == nil || n.Removed {
		return refuse(notFound)
	}
	m.fence(n)
	gone := proto.CloneOf(n)
	gone.Removed, gone.Incarnation = true, 0
	m.nodes[number] = gone
	return nil
}

func (m *model) addDisk(b *event.DiskAdded) *event.Outcome {
	if len(b.DiskId) != 16 {
		return refuse(invalid)
	}
	if n := m.nodes[b.Node]; n == nil || n.Removed {
		return refuse(notFound)
	}
	for n, d := range m.disks {
		if bytes.Equal(d.DiskId, b.DiskId) {
			if d.Node == b.Node && d.Slot == b.Slot {
				return &event.Outcome{Refusal: exists, Allocated: uint64(n)}
			}
			return refuse(conflict)
		}
	}
	n := uint32(len(m.disks) + 1)
	m.disks[n] = &Disk{Number: n, DiskId: b.DiskId, Node: b.Node, Slot: b.Slot}
	return &event.Outcome{Allocated: uint64(n)}
}

func (m *model) raise(level uint32) *event.Outcome {
	if level <= m.cluster.FeatureLevel {
		return refuse(exists)
	}
	living := 0
	for _, n := range m.nodes {
		if !n.Removed && n.FeatureLevel < level {
			return refuse(event.Refusal_REFUSAL_FEATURE_LEVEL)
		} else if !n.Removed {
			living++
		}
	}
	if living == 0 {
		return refuse(event.Refusal_REFUSAL_FEATURE_LEVEL)
	}
	if level >= vaultLevel && m.cluster.FeatureLevel < vaultLevel {
		m.openVault()
	}
	c := proto.CloneOf(m.cluster)
	c.FeatureLevel = level
	m.cluster = c
	return nil
}

func (m *model) cancel(b *event.Cancel) *event.Outcome {
	if len(b.RequestId) != 16 {
		return refuse(invalid)
	}
	if _, o := m.remembered(string(b.RequestId)); o != nil {
		return o
	}
	return refuse(event.Refusal_REFUSAL_CANCELLED)
}

func (m *model) abandon(b *event.BlobsAbandoned) *event.Outcome {
	for _, id := range b.Blobs {
		_, live := m.incarnations[id.Incarnation]
		if _, known := m.blobs[id.Key()]; live && !known {
			m.abandoned[id.Key()] = true
		}
	}
	return nil
}

func (m *model) release(b *event.BlobsReleased) *event.Outcome {
	o := &event.Outcome{}
	sub := func(r event.Refusal) { o.Subs = append(o.Subs, &event.SubOutcome{Refusal: r}) }
	for _, id := range b.Blobs {
		switch r, ok := m.blobs[id.Key()]; {
		case !ok:
			sub(notFound)
		case r.refs > 0 || r.due > m.now:
			sub(conflict)
		default:
			delete(m.blobs, id.Key())
			sub(none)
		}
	}
	for _, x := range b.Assemblies {
		v := ver(x.Assembly)
		switch a, ok := m.assemblies[v]; {
		case !ok:
			sub(notFound)
		case a.refs > 0 || a.due > m.now || x.Segments == 0:
			sub(conflict)
		case int(x.Segments) < len(a.segments):
			a.segments = a.segments[:len(a.segments)-int(x.Segments)]
			m.assemblies[v] = a
			sub(none)
		default:
			delete(m.assemblies, v)
			sub(none)
		}
	}
	return o
}

// open tells whether a new shard may be named in a pack.
func (m *model) open(s *event.Shard) event.Refusal {
	d := m.disks[s.Disk]
	if d == nil || s.Pack == nil {
		return notFound
	}
	at := packPlace{s.Disk, s.Pack.Incarnation, s.Pack.Counter}
	switch {
	case m.nodes[d.Node].Incarnation != at.incarnation:
		return fenced
	case m.packs[at]:
		return event.Refusal_REFUSAL_PACK_RELEASED
	}
	m.packs[at] = false
	return none
}

func (m *model) place(b *event.ShardsPlaced) *event.Outcome {
	o := &event.Outcome{}
	for _, p := range b.Placements {
		o.Subs = append(o.Subs, &event.SubOutcome{Refusal: m.placeShard(p)})
	}
	return o
}

func (m *model) placeShard(p *event.Placement) event.Refusal {
	r, ok := m.blobs[p.Blob.Key()]
	if !ok || int(p.Index) >= len(r.blob.Shards) {
		return notFound
	}
	if p.Shard.GetDisk() == 0 || p.Shard.Pack == nil {
		return invalid
	}
	if old := r.blob.Shards[p.Index]; old.Generation != p.FromGeneration || p.Shard.Generation <= old.Generation {
		return conflict
	}
	if r := m.open(p.Shard); r != none {
		return r
	}
	r.blob = proto.Clone(r.blob).(*event.Blob)
	r.blob.Shards[p.Index] = p.Shard
	m.blobs[p.Blob.Key()] = r
	return none
}

// live counts the shards that blobs name in a pack.
func (m *model) live(at packPlace) *Pack {
	p := &Pack{Released: m.packs[at]}
	for _, b := range m.blobs {
		for _, s := range b.blob.Shards {
			if s.Disk == at.disk && s.Pack.GetIncarnation() == at.incarnation && s.Pack.GetCounter() == at.counter {
				p.LiveShards++
				p.LiveBytes += (b.blob.Size + uint64(b.blob.K) - 1) / uint64(b.blob.K)
			}
		}
	}
	return p
}

func (m *model) releasePacks(b *event.PacksReleased) *event.Outcome {
	d := m.disks[b.Disk]
	if d == nil {
		return refuse(notFound)
	}
	o := &event.Outcome{}
	for _, id := range b.Packs {
		at := packPlace{b.Disk, id.Incarnation, id.Counter}
		r := none
		switch {
		case m.live(at).LiveShards > 0:
			r = event.Refusal_REFUSAL_PACK_IN_USE
		case m.nodes[d.Node].Incarnation == id.Incarnation:
			m.packs[at] = true
		default:
			delete(m.packs, at)
		}
		o.Subs = append(o.Subs, &event.SubOutcome{Refusal: r})
	}
	return o
}

func text(s string) bool { return utf8.ValidString(s) && len(s) <= 1024 }

func (m *model) identity(p *event.Parsed) *event.Outcome {
	name, email := p.Text(event.ItemKind_ITEM_KIND_NAME, 0), p.Text(event.ItemKind_ITEM_KIND_NAME, 1)
	account := func(id string) bool {
		for _, a := range m.accounts {
			if a.Account == id {
				return true
			}
		}
		return false
	}
	switch b := p.Statement.Body.(type) {
	case *event.Statement_AccountCreated:
		x := b.AccountCreated
		raw, err := hex.DecodeString(x.CanonicalId)
		if err != nil || len(raw) != 32 || hex.EncodeToString(raw) != x.CanonicalId || x.Account == "" || !text(x.Account+name) || !text(email) {
			return refuse(invalid)
		}
		for _, a := range m.accounts {
			if a.CanonicalId == x.CanonicalId || a.Account == x.Account || email != "" && a.Email == email {
				return refuse(exists)
			}
		}
		m.accounts[x.CanonicalId] = &Account{Account: x.Account, CanonicalId: x.CanonicalId, Name: name, Email: email, Root: x.Root}
	case *event.Statement_UserCreated:
		x := b.UserCreated
		if m.hasVault() {
			return m.addPrincipal(p, &event.PrincipalCreated{Principal: x.User, Account: x.Account, Kind: 1, Path: "/"})
		}
		switch {
		case x.User == "" || !text(x.User) || !text(name):
			return refuse(invalid)
		case !account(x.Account):
			return refuse(notFound)
		case m.users[x.User] != nil:
			return refuse(exists)
		}
		m.users[x.User] = &Principal{Principal: x.User, Account: x.Account, Name: name}
	case *event.Statement_AccessKeyCreated:
		x := b.AccessKeyCreated
		switch {
		case x.AccessKey == "" || len(x.SealedSecret) == 0:
			return refuse(invalid)
		case !account(x.Account) || x.User != "" && (m.users[x.User].GetAccount() != x.Account || m.users[x.User].Kind > 1):
			return refuse(notFound)
		case m.keys[x.AccessKey] != nil:
			return refuse(exists)
		case m.hasVault() && m.tooManyKeys(x.Account, x.User):
			return refuse(tooMany)
		}
		m.keys[x.AccessKey] = &AccessKey{AccessKey: x.AccessKey, Account: x.Account, User: x.User, SealedSecret: x.SealedSecret, Active: true, Time: m.now}
	case *event.Statement_AccessKeyStatusSet:
		k := m.keys[b.AccessKeyStatusSet.AccessKey]
		if k == nil {
			return refuse(notFound)
		}
		k = proto.Clone(k).(*AccessKey)
		k.Active = b.AccessKeyStatusSet.Active
		m.keys[k.AccessKey] = k
	case *event.Statement_AccessKeyDeleted:
		if m.keys[b.AccessKeyDeleted.AccessKey] == nil {
			return refuse(notFound)
		}
		delete(m.keys, b.AccessKeyDeleted.AccessKey)
	}
	return nil
}
