package fsm

import (
	"cmp"
	"strings"

	"ironman/wal/event"
)

// events makes the event of each command.
var events = map[string]func(*script, args, *event.Header) *event.Draft{
	"genesis": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{
			ClusterId: make([]byte, 16), FeatureLevel: max(1, uint32(a.number("level"))), HistoryRetention: a.duration("retention"), ReleaseGrace: a.duration("grace"),
		}})
	},
	"node": func(s *script, a args, h *event.Header) *event.Draft {
		n, public := uint32(a.parse(a.first())), a.named["key"]
		if public == "" {
			public = "key"
		}
		level := uint32(1)
		if a.named["level"] != "" {
			level = uint32(a.number("level"))
		}
		return event.NewDraft(h, &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: n, PublicKey: []byte(public), Boot: a.number("boot"), FeatureLevel: level}})
	},
	"add-node": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_NodeAdded{NodeAdded: &event.NodeAdded{PublicKey: []byte(a.named["key"]), LinkAddress: a.named["at"]}})
	},
	// epoch key=e at=e:9100 origin=o2 ledger=k2 raise=4
	"epoch": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_EpochBegun{EpochBegun: &event.EpochBegun{
			PublicKey: []byte(a.named["key"]), LinkAddress: a.named["at"], LedgerOrigin: a.named["origin"], LedgerKey: a.named["ledger"], Remark: a.named["remark"],
			FeatureLevel: uint32(a.number("raise")),
		}})
	},
	"remove-node": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_NodeRemoved{NodeRemoved: &event.NodeRemoved{Node: uint32(a.parse(a.first()))}})
	},
	"disk": func(s *script, a args, h *event.Header) *event.Draft {
		id := make([]byte, 16)
		copy(id, a.first())
		return event.NewDraft(h, &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{DiskId: id, Node: uint32(a.number("node")), Slot: uint32(a.number("slot"))}})
	},
	"raise": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: uint32(a.parse(a.first()))}})
	},
	"note-reads": noteReadsCommand,
	"cancel": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_Cancel{Cancel: &event.Cancel{RequestId: id16(a.parse(a.first()))}})
	},
	"abandon": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_BlobsAbandoned{BlobsAbandoned: &event.BlobsAbandoned{Blobs: a.blobIDs(a.words)}})
	},
	"release":       releaseCommand,
	"place":         placeCommand,
	"place-blobs":   placeBlobsCommand,
	"release-packs": releasePacksCommand,
	"trim": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{
			To: a.number("to"), Rows: uint32(a.number("rows")), Bucket: s.bucketOrNone(a, cmp.Or(a.named["of"], "-")), Early: a.has("early"),
		}})
	},
	// retain b history=1h strict: of a bucket, or (-) of the cluster; without history= the cluster's counts again
	"retain": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_HistoryRetentionSet{HistoryRetentionSet: &event.HistoryRetentionSet{
			Bucket: s.bucketOrNone(a, a.first()), Inherit: a.named["history"] == "", Retention: a.duration("history"), Strict: a.has("strict"),
		}})
	},

	"account": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_AccountCreated{AccountCreated: &event.AccountCreated{Account: a.first(), CanonicalId: canonical(a.named["canonical"])}}).
			AddText(event.ItemKind_ITEM_KIND_NAME, 0, a.named["name"]).AddText(event.ItemKind_ITEM_KIND_NAME, 1, a.named["email"])
	},
	"user": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_UserCreated{UserCreated: &event.UserCreated{User: a.first(), Account: a.named["account"]}}).
			AddText(event.ItemKind_ITEM_KIND_NAME, 0, a.named["name"])
	},
	"access-key": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{
			AccessKey: a.first(), Account: a.named["account"], User: a.named["user"], SealedSecret: []byte(a.named["sealed"]),
		}})
	},
	"access-key-status": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_AccessKeyStatusSet{AccessKeyStatusSet: &event.AccessKeyStatusSet{AccessKey: a.first(), Active: a.has("active")}})
	},
	"delete-access-key": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_AccessKeyDeleted{AccessKeyDeleted: &event.AccessKeyDeleted{AccessKey: a.first()}})
	},

	"bucket": func(s *script, a args, h *event.Header) *event.Draft {
		if of := a.named["of"]; of != "" {
			a.named["owner"] = canonical(of)
		}
		return event.NewDraft(h, &event.Statement_BucketCreated{BucketCreated: &event.BucketCreated{Owner: a.named["owner"], Acl: a.acl(), ObjectLock: a.has("object-lock")}}).
			AddText(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0, a.first()).
			AddText(event.ItemKind_ITEM_KIND_DOCUMENT, int(a.number("kind")), a.named["text"])
	},
	"delete-bucket": func(s *script, a args, h *event.Header) *event.Draft {
		b, _ := s.place(a, a.first())
		return event.NewDraft(h, &event.Statement_BucketDeleted{BucketDeleted: &event.BucketDeleted{Bucket: b}})
	},
	"bucket-acl": func(s *script, a args, h *event.Header) *event.Draft {
		b, _ := s.place(a, a.first())
		return event.NewDraft(h, &event.Statement_BucketAclSet{BucketAclSet: &event.BucketACLSet{Bucket: b, Acl: a.acl()}})
	},
	"document": func(s *script, a args, h *event.Header) *event.Draft {
		b, _ := s.place(a, a.first())
		kind := event.DocumentKind_value["DOCUMENT_KIND_"+strings.ToUpper(a.named["kind"])]
		return event.NewDraft(h, &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{Bucket: b, Kind: event.DocumentKind(kind)}}).
			AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, a.named["text"])
	},

	"put":    putCommand,
	"delete": deleteCommand,
	"acl": func(s *script, a args, h *event.Header) *event.Draft {
		b, k := s.place(a, a.first())
		return event.NewDraft(h, &event.Statement_ObjectAclSet{ObjectAclSet: &event.ObjectACLSet{Bucket: b, Version: a.version(a.named["version"]), Acl: a.acl()}}).
			AddText(event.ItemKind_ITEM_KIND_KEY, 0, k)
	},
	"upload": func(s *script, a args, h *event.Header) *event.Draft {
		b, k := s.place(a, a.first())
		s.uploads[a.named["as"]] = upload{b, k, &event.Version{Seq: s.Applied().Next}}
		return event.NewDraft(h, &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{Bucket: b, Owner: "alice", Initiator: "alice", Acl: private("alice"), Lock: a.lock()}}).
			AddText(event.ItemKind_ITEM_KIND_KEY, 0, k)
	},
	"part":          partCommand,
	"versioning":    versioningCommand,
	"lock-bucket":   lockBucketCommand,
	"quota":         quotaCommand,
	"account-quota": accountQuotaCommand,
	"tags":          tagsCommand,
	"lock":          lockCommand,
	"rename":        renameCommand,
	"append":        appendCommand,
	"expire":        expireCommand,
	"restore":       restoreCommand,
	"cursor":        cursorCommand,
	"delete-cursor": deleteCursorCommand,
	"erase":         eraseCommand,
	"complete":      completeCommand,
	"transact":      transactCommand,
	"abort": func(s *script, a args, h *event.Header) *event.Draft {
		u := s.uploads[a.first()]
		return event.NewDraft(h, &event.Statement_UploadAborted{UploadAborted: &event.UploadAborted{Bucket: u.bucket, Upload: u.id}}).
			AddText(event.ItemKind_ITEM_KIND_KEY, 0, u.key)
	},
}

// canonical makes 64 digits of a short name.
func canonical(digit string) string { return strings.Repeat(digit, 64) }

// acl reads owner=alice grant=bob:READ,all:WRITE.
func (a args) acl() *event.ACL {
	acl := private(a.named["owner"])
	for _, g := range a.list("grant") {
		who, what, _ := strings.Cut(g, ":")
		grant := &event.Grant{Grantee: who, Permission: event.Permission(event.Permission_value["PERMISSION_"+what])}
		if who == "all" {
			grant.Grantee, grant.Group = "", event.Group_GROUP_ALL_USERS
		}
		acl.Grants = append(acl.Grants, grant)
	}
	return acl
}

// condition reads if-absent if-match=e if-none-match=e if-size=n.
func (a args) condition() *event.Condition {
	c := &event.Condition{IfAbsent: a.has("if-absent"), IfMatch: a.list("if-match"), IfNoneMatch: a.list("if-none-match")}
	if a.named["if-size"] != "" {
		size := a.number("if-size")
		c.IfSize = &size
	}
	if a.named["if-modified"] != "" {
		seconds := int64(a.number("if-modified"))
		c.IfModifiedTime = &seconds
	}
	return c
}

// newBlob reads blob=incarnation:counter on=disk,disk missing=index tolerance=n: a
// mirror with a shard on each disk, in the pack that the disk appends to.
func (s *script) newBlob(a args) *event.Blob {
	inc, counter := a.pair(a.named["blob"])
	b := &event.Blob{Id: &event.BlobID{Incarnation: inc, Counter: counter}, Size: a.number("size"), K: 1, Cell: 4096, Tolerance: uint32(a.number("tolerance"))}
	generation := uint32(max(1, a.number("generation")))
	for _, d := range a.list("on") {
		if d == "lost" {
			b.Shards = append(b.Shards, &event.Shard{Generation: uint32(a.number("generation"))})
			continue
		}
		b.Shards = append(b.Shards, s.shard(a, uint32(a.parse(d)), generation))
	}
	b.M = uint32(len(b.Shards)) - 1
	return b
}

// shard is one in the open pack of a disk, or in pack=incarnation:counter.
func (s *script) shard(a args, disk, generation uint32) *event.Shard {
	v := s.view()
	defer v.Close()
	pack := &event.PackID{Counter: 1}
	if d, err := v.Disk(disk); err == nil && d != nil {
		n, err := v.Node(d.Node)
		if err != nil {
			s.t.Fatal(err)
		}
		pack.Incarnation = n.Incarnation
	}
	if a.named["pack"] != "" {
		pack.Incarnation, pack.Counter = a.pair(a.named["pack"])
	}
	return &event.Shard{Disk: disk, Pack: pack, Generation: generation}
}

func putCommand(s *script, a args, h *event.Header) *event.Draft {
	b, k := s.place(a, a.first())
	p := &event.ObjectPut{Bucket: b, Size: a.number("size"), Etag: a.named["etag"], Owner: "alice", Acl: private("alice"), Condition: a.condition(), Lock: a.lock()}
	d := event.NewDraft(h, &event.Statement_ObjectPut{ObjectPut: p}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, k)
	if a.named["blob"] != "" {
		p.Blobs = []*event.Blob{s.newBlob(a)}
	}
	p.Segments = a.segments()
	if a.named["from"] != "" {
		at, version, _ := strings.Cut(a.named["from"], "@")
		bucket, key := s.place(a, at)
		p.Source = &event.CopySource{Bucket: bucket, Version: a.version(version)}
		d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, key)
	}
	return d
}

// segments reads segments=incarnation:counter:offset:length,...
func (a args) segments() []*event.Segment {
	var out []*event.Segment
	for _, text := range a.list("segments") {
		p := strings.Split(text, ":")
		out = append(out, &event.Segment{
			Blob: &event.BlobID{Incarnation: a.parse(p[0]), Counter: a.parse(p[1])}, Offset: a.parse(p[2]), Length: a.parse(p[3]),
		})
	}
	return out
}

func deleteCommand(s *script, a args, h *event.Header) *event.Draft {
	p := &event.ObjectsDeleted{}
	d := event.NewDraft(h, &event.Statement_ObjectsDeleted{ObjectsDeleted: p})
	for _, w := range a.words {
		at, version, ok := strings.Cut(w, "@")
		if w == "bypass" {
			continue
		}
		var k string
		p.Bucket, k = s.place(a, at)
		target := &event.DeleteTarget{Condition: a.condition(), NullVersion: version == "null", BypassGovernance: a.has("bypass")}
		if ok && version != "null" {
			target.Version = a.version(version)
		}
		p.Targets = append(p.Targets, target)
		d.AddText(event.ItemKind_ITEM_KIND_KEY, len(p.Targets)-1, k)
	}
	return d
}

func partCommand(s *script, a args, h *event.Header) *event.Draft {
	u := s.uploads[a.first()]
	p := &event.PartPut{Bucket: u.bucket, Upload: u.id, Number: uint32(a.parse(a.words[1])), Size: a.number("size"), Etag: a.named["etag"]}
	d := event.NewDraft(h, &event.Statement_PartPut{PartPut: p}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, u.key)
	if a.named["blob"] != "" {
		p.Blobs = []*event.Blob{s.newBlob(a)}
	}
	p.Segments = a.segments()
	if a.named["from"] != "" {
		at, version, _ := strings.Cut(a.named["from"], "@")
		bucket, key := s.place(a, at)
		p.Source = &event.CopySource{Bucket: bucket, Version: a.version(version)}
		d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, key)
	}
	return d
}

// complete u1 parts=1:12,2:13: the parts by number and the event that stored them.
func completeCommand(s *script, a args, h *event.Header) *event.Draft {
	u := s.uploads[a.first()]
	p := &event.UploadCompleted{Bucket: u.bucket, Upload: u.id, Size: a.number("size"), Etag: a.named["etag"], Condition: a.condition()}
	for _, part := range a.list("parts") {
		n, seq := a.pair(part)
		p.Parts = append(p.Parts, &event.CompletedPart{Number: uint32(n), Seq: seq})
	}
	return event.NewDraft(h, &event.Statement_UploadCompleted{UploadCompleted: p}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, u.key)
}

// release blobs=1:2 assemblies=40.0:100
func releaseCommand(s *script, a args, h *event.Header) *event.Draft {
	p := &event.BlobsReleased{Blobs: a.blobIDs(a.list("blobs"))}
	for _, text := range a.list("assemblies") {
		v, n, _ := strings.Cut(text, ":")
		p.Assemblies = append(p.Assemblies, &event.AssemblyRelease{Assembly: a.version(v), Segments: uint32(a.parse(n))})
	}
	return event.NewDraft(h, &event.Statement_BlobsReleased{BlobsReleased: p})
}

// place 1:2 index=0 from=1 generation=2 on=3
func placeCommand(s *script, a args, h *event.Header) *event.Draft {
	return event.NewDraft(h, &event.Statement_ShardsPlaced{ShardsPlaced: &event.ShardsPlaced{Placements: []*event.Placement{{
		Blob: a.blobIDs(a.words)[0], Index: uint32(a.number("index")), FromGeneration: uint32(a.number("from")),
		Shard: s.shard(a, uint32(a.number("on")), uint32(a.number("generation"))),
	}}}})
}

// place-blobs 1:2 1:3 size=4 on=5,6 generation=2: all in the same way
func placeBlobsCommand(s *script, a args, h *event.Header) *event.Draft {
	p := &event.BlobsPlaced{}
	for _, word := range a.words {
		a.named["blob"] = word
		p.Blobs = append(p.Blobs, s.newBlob(a))
	}
	return event.NewDraft(h, &event.Statement_BlobsPlaced{BlobsPlaced: p})
}

// release-packs 1 packs=3:1,3:2
func releasePacksCommand(s *script, a args, h *event.Header) *event.Draft {
	p := &event.PacksReleased{Disk: uint32(a.parse(a.first()))}
	for _, text := range a.list("packs") {
		x, y := a.pair(text)
		p.Packs = append(p.Packs, &event.PackID{Incarnation: x, Counter: y})
	}
	return event.NewDraft(h, &event.Statement_PacksReleased{PacksReleased: p})
}
