package event

import "bytes"

// The values of the goldens. A kind that changes gets a second entry; entries
// that are here stay as they are, for their bytes are in somebody's log.

const (
	alice = "a11ce00000000000000000000000000000000000000000000000000000000001"
	bob   = "b0b0000000000000000000000000000000000000000000000000000000000002"
)

func ptr[T any](v T) *T { return &v }

func version(seq uint64) *Version { return &Version{Seq: seq, Ordinal: 3} }

func blobID(n uint64) *BlobID { return &BlobID{Incarnation: 5, Counter: n} }

func blob(n uint64) *Blob {
	return &Blob{
		Id: blobID(n), Size: 300000, K: 2, M: 1, Cell: 131072, Tolerance: 1,
		Shards: []*Shard{
			{Disk: 1, Pack: &PackID{Incarnation: 5, Counter: 9}, Offset: 4096, Generation: 1},
			{Disk: 2, Pack: &PackID{Incarnation: 6, Counter: 8}, Offset: 8192, Generation: 1},
			{}, // given up while it was written
		},
	}
}

func acl() *ACL {
	return &ACL{Owner: alice, Grants: []*Grant{
		{Grantee: bob, Permission: Permission_PERMISSION_READ},
		{Group: Group_GROUP_ALL_USERS, Permission: Permission_PERMISSION_FULL_CONTROL},
	}}
}

func condition() *Condition {
	return &Condition{
		IfAbsent: true, IfMatch: []string{"aa", "*"}, IfNoneMatch: []string{"bb"},
		IfSize: ptr(uint64(0)), IfModifiedTime: ptr(int64(1780000000)),
	}
}

func encryption() *Encryption {
	return &Encryption{
		Kind: EncryptionKind_ENCRYPTION_KIND_KMS, KeyId: "key-1", CustomerKeyCheck: []byte{1, 2, 3}, BucketKey: true,
		Keys: []*WrappedKey{{Blob: blobID(1), Wrapped: []byte{4, 5}, Nonce: []byte{6}}}, Context: `{"a":"b"}`,
	}
}

func lock() *Lock {
	return &Lock{Mode: RetentionMode_RETENTION_MODE_COMPLIANCE, RetainUntil: 1790000000e9, LegalHold: true}
}

func checksum() *Checksum {
	return &Checksum{Algorithm: ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC64NVME, Composite: true, Value: []byte{0xde, 0xad}}
}

func source() *CopySource { return &CopySource{Bucket: 7, Version: version(40), NullVersion: true} }

// bodies holds one full body of every kind, by its name in the schema.
func bodies() map[string]isStatement_Body {
	segments := []*Segment{{Blob: blobID(1), Offset: 10, Length: 20}}
	return map[string]isStatement_Body{
		"cluster_initialized": &Statement_ClusterInitialized{&ClusterInitialized{
			ClusterId: bytes.Repeat([]byte{0xc1}, 16), Region: "us-east-1", KeyringFingerprint: []byte{1, 2, 3, 4},
			LedgerOrigin: "ironman/c1c1", LedgerKey: "ironman+1234+AAAA", FeatureLevel: 1,
			HistoryRetention: 24 * 3600e9, ReleaseGrace: 900e9,
		}},
		"node_started": &Statement_NodeStarted{&NodeStarted{
			Node: 2, PublicKey: []byte("PKIX"), Boot: 8, LinkAddress: "10.0.0.2:9100", Version: "v0.1.0", FeatureLevel: 1,
		}},
		"epoch_begun": &Statement_EpochBegun{&EpochBegun{
			PublicKey: []byte("PKIX"), LinkAddress: "10.0.0.9:9100", LedgerOrigin: "ironman/c1c1/2", LedgerKey: "ironman/c1c1/2+5678+BBBB",
			Remark: "from the backup of 2026-07-01",
		}},
		"epoch_begun.raised": &Statement_EpochBegun{&EpochBegun{
			PublicKey: []byte("PKIX"), LedgerOrigin: "ironman/c1c1/2", LedgerKey: "ironman/c1c1/2+5678+BBBB", FeatureLevel: 4,
		}},
		"node_added":           &Statement_NodeAdded{&NodeAdded{PublicKey: []byte("PKIX"), LinkAddress: "10.0.0.4:9100"}},
		"node_removed":         &Statement_NodeRemoved{&NodeRemoved{Node: 3}},
		"disk_added":           &Statement_DiskAdded{&DiskAdded{DiskId: bytes.Repeat([]byte{0xd1}, 16), Node: 2, Slot: 1}},
		"feature_level_raised": &Statement_FeatureLevelRaised{&FeatureLevelRaised{FeatureLevel: 2}},
		"cancel":               &Statement_Cancel{&Cancel{RequestId: []byte("fedcba9876543210")}},
		"blobs_abandoned":      &Statement_BlobsAbandoned{&BlobsAbandoned{Blobs: []*BlobID{blobID(1), blobID(1 << 40)}}},
		"blobs_released": &Statement_BlobsReleased{&BlobsReleased{
			Blobs: []*BlobID{blobID(1)}, Assemblies: []*AssemblyRelease{{Assembly: version(40), Segments: 1000}},
		}},
		"shards_placed": &Statement_ShardsPlaced{&ShardsPlaced{Placements: []*Placement{{
			Blob: blobID(1), Index: 2, FromGeneration: 1,
			Shard: &Shard{Disk: 3, Pack: &PackID{Incarnation: 7, Counter: 1}, Offset: 64, Generation: 2},
		}}}},
		"blobs_placed": &Statement_BlobsPlaced{&BlobsPlaced{Blobs: []*Blob{{
			Id: blobID(1), Size: 300000, K: 1, M: 1, Cell: 65536, Tolerance: 1,
			Shards: []*Shard{
				{Disk: 4, Pack: &PackID{Incarnation: 70, Counter: 1}, Offset: 4096, Generation: 3},
				{Disk: 5, Pack: &PackID{Incarnation: 70, Counter: 2}, Offset: 4096, Generation: 3},
			},
		}}}},
		"packs_released":         &Statement_PacksReleased{&PacksReleased{Disk: 1, Packs: []*PackID{{Incarnation: 5, Counter: 9}}}},
		"history_trimmed":        &Statement_HistoryTrimmed{&HistoryTrimmed{To: 1 << 33, Rows: 500}},
		"history_trimmed.bucket": &Statement_HistoryTrimmed{&HistoryTrimmed{To: 1 << 33, Rows: 500, Bucket: 7}},
		"history_trimmed.early":  &Statement_HistoryTrimmed{&HistoryTrimmed{To: 1 << 33, Rows: 500, Early: true}},

		"account_created":       &Statement_AccountCreated{&AccountCreated{Account: "123456789012", CanonicalId: alice, Root: true}},
		"user_created":          &Statement_UserCreated{&UserCreated{User: "AIDA1", Account: "123456789012"}},
		"access_key_created":    &Statement_AccessKeyCreated{&AccessKeyCreated{AccessKey: "AKIA1", Account: "123456789012", User: "AIDA1", SealedSecret: []byte{9, 9}}},
		"access_key_status_set": &Statement_AccessKeyStatusSet{&AccessKeyStatusSet{AccessKey: "AKIA1", Active: true}},
		"access_key_deleted":    &Statement_AccessKeyDeleted{&AccessKeyDeleted{AccessKey: "AKIA1"}},

		"bucket_created":      &Statement_BucketCreated{&BucketCreated{Owner: alice, Region: "eu-west-1", Acl: acl(), ObjectLock: true}},
		"bucket_deleted":      &Statement_BucketDeleted{&BucketDeleted{Bucket: 7}},
		"bucket_acl_set":      &Statement_BucketAclSet{&BucketACLSet{Bucket: 7, Acl: acl()}},
		"bucket_document_set": &Statement_BucketDocumentSet{&BucketDocumentSet{Bucket: 7, Kind: DocumentKind_DOCUMENT_KIND_CORS}},
		"bucket_document_set.confirmed": &Statement_BucketDocumentSet{&BucketDocumentSet{
			Bucket: 7, Kind: DocumentKind_DOCUMENT_KIND_POLICY, Confirmed: true,
		}},

		"object_put": &Statement_ObjectPut{&ObjectPut{
			Bucket: 7, Blobs: []*Blob{blob(1), blob(2)}, Segments: segments, Source: source(), Size: 300000,
			Etag: "9e107d9d372bb6826bd81d3542a419d6", Checksum: checksum(), Owner: alice, Acl: acl(),
			StorageClass: "STANDARD_IA", Condition: condition(), Encryption: encryption(), Lock: lock(),
		}},
		"objects_deleted": &Statement_ObjectsDeleted{&ObjectsDeleted{Bucket: 7, Targets: []*DeleteTarget{
			{}, {Version: version(41), Condition: condition(), BypassGovernance: true}, {NullVersion: true},
		}}},
		"object_acl_set": &Statement_ObjectAclSet{&ObjectACLSet{Bucket: 7, Version: version(41), Acl: acl()}},

		"upload_created": &Statement_UploadCreated{&UploadCreated{
			Bucket: 7, Owner: alice, Initiator: "AIDA1", Acl: acl(), StorageClass: "STANDARD",
			ChecksumAlgorithm: ChecksumAlgorithm_CHECKSUM_ALGORITHM_SHA256, ChecksumComposite: true,
			Encryption: encryption(), Lock: lock(),
		}},
		"part_put": &Statement_PartPut{&PartPut{
			Bucket: 7, Upload: version(50), Number: 10000, Blobs: []*Blob{blob(3)}, Source: source(), Segments: segments,
			Size: 300000, Etag: "aa", Checksum: checksum(), Encryption: encryption(),
		}},
		"upload_completed": &Statement_UploadCompleted{&UploadCompleted{
			Bucket: 7, Upload: version(50), Parts: []*CompletedPart{{Number: 1, Seq: 51}, {Number: 3, Seq: 53}},
			Size: 600000, Etag: "bb-2", Checksum: checksum(), Condition: condition(),
		}},
		"upload_aborted": &Statement_UploadAborted{&UploadAborted{Bucket: 7, Upload: version(50)}},

		"cursor_set":     &Statement_CursorSet{&CursorSet{Kind: CursorKind_CURSOR_KIND_FEED, Bucket: 7, From: 40, To: 50}},
		"cursor_deleted": &Statement_CursorDeleted{&CursorDeleted{Kind: CursorKind_CURSOR_KIND_NOTIFICATION, Bucket: 7}},

		"payloads_erased": &Statement_PayloadsErased{&PayloadsErased{Payloads: []*ErasedPayload{
			{Seq: 41}, {Seq: 1 << 33, Items: []byte{0x09, 0, 0x80}},
		}}},
		"reads_noted":           &Statement_ReadsNoted{&ReadsNoted{Node: 3, Incarnation: 40, Size: 1000, Root: bytes.Repeat([]byte{0x5a}, 32)}},
		"payloads_erased.fills": &Statement_PayloadsErased{&PayloadsErased{Fills: 41}},

		"principal_created": &Statement_PrincipalCreated{&PrincipalCreated{
			Principal: "AROA1", Account: "123456789012", Kind: PrincipalKind_PRINCIPAL_KIND_ROLE, Path: "/a/", MaxSession: 3600, Boundary: "ANPA1",
		}},
		"principal_changed.was": &Statement_PrincipalChanged{&PrincipalChanged{Principal: "AIDA1", Path: "/", Was: []byte("as it was read")}},
		"principal_created.provider": &Statement_PrincipalCreated{&PrincipalCreated{
			Principal: "OIDC1", Account: "123456789012", Kind: PrincipalKind_PRINCIPAL_KIND_PROVIDER, Path: "/",
		}},
		"principal_changed":      &Statement_PrincipalChanged{&PrincipalChanged{Principal: "AROA1", Path: "/b/", MaxSession: 7200, Boundary: "ANPA2"}},
		"principal_deleted":      &Statement_PrincipalDeleted{&PrincipalDeleted{Principal: "AROA1"}},
		"members_changed":        &Statement_MembersChanged{&MembersChanged{Group: "AGPA1", Add: []string{"AIDA1"}, Remove: []string{"AIDA2", "AIDA3"}}},
		"policy_created":         &Statement_PolicyCreated{&PolicyCreated{Policy: "ANPA1", Account: "123456789012", Path: "/"}},
		"policy_version_created": &Statement_PolicyVersionCreated{&PolicyVersionCreated{Policy: "ANPA1", Default: true}},
		"policy_version_deleted": &Statement_PolicyVersionDeleted{&PolicyVersionDeleted{Policy: "ANPA1", Version: 2}},
		"policy_default_set":     &Statement_PolicyDefaultSet{&PolicyDefaultSet{Policy: "ANPA1", Version: 3}},
		"policy_tags_set":        &Statement_PolicyTagsSet{&PolicyTagsSet{Policy: "ANPA1", Was: []byte("as it was read")}},
		"policy_deleted":         &Statement_PolicyDeleted{&PolicyDeleted{Policy: "ANPA1"}},
		"inline_policy_set":      &Statement_InlinePolicySet{&InlinePolicySet{Principal: "AIDA1"}},
		"policies_attached":      &Statement_PoliciesAttached{&PoliciesAttached{Principal: "AIDA1", Attach: []string{"ANPA1"}, Detach: []string{"ANPA2"}}},
		"account_changed":        &Statement_AccountChanged{&AccountChanged{Account: "123456789012"}},
		"account_deleted":        &Statement_AccountDeleted{&AccountDeleted{Account: "123456789012"}},
		"access_key_sealed":      &Statement_AccessKeySealed{&AccessKeySealed{AccessKey: "AKIA1", SealedSecret: []byte{8, 8}}},
		"account_quota_set":      &Statement_AccountQuotaSet{&AccountQuotaSet{Account: "123456789012", Quota: &Quota{Bytes: 1 << 40, Objects: 1000}}},

		"bucket_versioning_set": &Statement_BucketVersioningSet{&BucketVersioningSet{Bucket: 7, State: VersioningState_VERSIONING_STATE_SUSPENDED}},
		"bucket_lock_set":       &Statement_BucketLockSet{&BucketLockSet{Bucket: 7, Mode: RetentionMode_RETENTION_MODE_GOVERNANCE, Days: 30, Years: 1}},
		"bucket_quota_set":      &Statement_BucketQuotaSet{&BucketQuotaSet{Bucket: 7, Quota: &Quota{Bytes: 1 << 30}}},

		"history_retention_set": &Statement_HistoryRetentionSet{&HistoryRetentionSet{Bucket: 7, Inherit: true, Retention: 3600e9, Strict: true}},

		"object_tags_set": &Statement_ObjectTagsSet{&ObjectTagsSet{Bucket: 7, Version: version(41)}},
		"object_lock_set": &Statement_ObjectLockSet{&ObjectLockSet{
			Bucket: 7, Version: version(41), Lock: lock(), Retention: true, LegalHold: true, BypassGovernance: true,
		}},
		"object_renamed": &Statement_ObjectRenamed{&ObjectRenamed{
			Bucket: 7, Version: version(41), SourceCondition: condition(), Condition: condition(),
		}},
		"object_appended": &Statement_ObjectAppended{&ObjectAppended{
			Bucket: 7, Version: version(41), Blobs: []*Blob{blob(4)}, Offset: 100, Size: 300100, Etag: "dd", Checksum: checksum(),
			Owner: alice, Acl: acl(), StorageClass: "STANDARD", Condition: condition(), Encryption: encryption(),
		}},
		"objects_restored": &Statement_ObjectsRestored{&ObjectsRestored{Bucket: 7, Source: 5, To: 40, Seen: 43, Keys: 2}},
		"objects_expired": &Statement_ObjectsExpired{&ObjectsExpired{Bucket: 7, View: 43, Targets: []*ExpiredTarget{
			{Version: version(41), Kind: ExpiredKind_EXPIRED_KIND_CURRENT}, {Version: version(42), Kind: ExpiredKind_EXPIRED_KIND_MARKER},
		}}},
		"transaction_committed": &Statement_TransactionCommitted{&TransactionCommitted{
			Bucket: 7, Request: []byte("fedcba9876543210"), Operations: []*TransactionOperation{
				{Completed: &UploadCompleted{
					Bucket: 7, Upload: version(50), Parts: []*CompletedPart{{Number: 1, Seq: 51}}, Size: 300000, Etag: "bb-1", Checksum: checksum(), Condition: condition(),
				}, Reason: &Reason{Kind: ReasonKind_REASON_KIND_OWNER, View: 60}},
				{Copied: &ObjectPut{
					Bucket: 7, Source: &CopySource{Bucket: 8, Version: version(41), NullVersion: true}, Size: 300000, Etag: "aa", Owner: alice, Acl: acl(),
				}, Reason: &Reason{Kind: ReasonKind_REASON_KIND_ACL_GRANT, View: 60, Position: 1}},
				{Deleted: &DeleteTarget{Version: version(42), Condition: condition(), BypassGovernance: true}},
			},
		}},
	}
}

// golden is the proposal of a body, with every kind of item and fixed salts.
func golden(body isStatement_Body) []byte {
	d := NewDraft(&Header{
		FeatureLevel: 1, RequestId: []byte("0123456789abcdef"), Principal: "AIDA1", Base: 1 << 35, Operation: "Golden", Node: 2,
		Reason: &Reason{Kind: ReasonKind_REASON_KIND_BUCKET_POLICY, View: 1<<35 - 1, Position: 4, Policy: "p", Statement: "Allow1"},
	}, body)
	d.AddText(ItemKind_ITEM_KIND_BUCKET_NAME, 0, "photos")
	d.AddText(ItemKind_ITEM_KIND_KEY, 0, "2026/é\x00.jpg")
	d.Add(ItemKind_ITEM_KIND_KEY, 1, []byte{0xff, 0xfe}) // keys are bytes
	d.AddText(ItemKind_ITEM_KIND_SOURCE_KEY, 0, "old.jpg")
	d.AddMessage(ItemKind_ITEM_KIND_HEADERS, 0, &Headers{
		ContentType: "image/jpeg", ContentEncoding: "gzip", ContentDisposition: "inline", ContentLanguage: "en",
		CacheControl: "no-store", Expires: "0", WebsiteRedirect: "/", User: []*UserHeader{{Name: "camera", Value: "x100"}},
	})
	d.AddMessage(ItemKind_ITEM_KIND_TAGS, 0, &Tags{Tags: []*Tag{{Key: "k", Value: "v"}, {Key: "k2"}}})
	d.AddText(ItemKind_ITEM_KIND_DOCUMENT, 0, "<CORS/>")
	d.AddMessage(ItemKind_ITEM_KIND_CLIENT, 0, &Client{Address: "192.0.2.1", UserAgent: "curl/8", AccessKey: "AKIA1"})
	d.AddText(ItemKind_ITEM_KIND_NAME, 0, "Alice")
	p := &Proposal{Statement: Canonical(d.Statement)}
	for i, it := range d.Items {
		it.Salt = bytes.Repeat([]byte{byte(0xa0 + i)}, SaltBytes)
		p.Items = append(p.Items, Canonical(it))
	}
	return Canonical(p)
}

func outcome() *Outcome {
	return &Outcome{
		Refusal: Refusal_REFUSAL_CONFLICT, Version: version(60), NullVersion: true, Time: 1780000000e9,
		Subs: []*SubOutcome{
			{}, {Refusal: Refusal_REFUSAL_PRECONDITION_FAILED},
			{Version: version(61), NullVersion: true, DeleteMarker: true, Absent: true},
		},
		Allocated: 99, Etag: "cc",
	}
}

func restoredOutcome() *Outcome {
	return &Outcome{Subs: []*SubOutcome{{Version: version(62), Restored: RestoredKind_RESTORED_KIND_PUT, Size: 5, Etag: "dd"}}}
}

func envelope() *Envelope {
	return &Envelope{
		Seq: 60, Time: 1780000000e9, Kind: 64, RequestId: []byte("0123456789abcdef"), Principal: "AIDA1",
		Outcome: Canonical(outcome()), OutcomeHash: bytes.Repeat([]byte{1}, 32), Refusal: Refusal_REFUSAL_CONFLICT,
		StatementHash: bytes.Repeat([]byte{2}, 32), ItemsHash: bytes.Repeat([]byte{3}, 32), StateDigest: bytes.Repeat([]byte{4}, 32),
	}
}
