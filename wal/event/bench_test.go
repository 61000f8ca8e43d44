package event

import (
	"testing"
)

// typicalPut is a PUT of one erasure-coded blob: 4+2 shards, an ACL, a checksum.
func typicalPut() *Draft {
	blob := &Blob{Id: &BlobID{Incarnation: 17, Counter: 123456}, Size: 1 << 20, K: 4, M: 2, Cell: 128 << 10, Tolerance: 2}
	for i := range uint32(6) {
		blob.Shards = append(blob.Shards, &Shard{Disk: i + 1, Pack: &PackID{Incarnation: 17, Counter: 7}, Offset: 1 << 24, Generation: 1})
	}
	owner := "3f0e9c1d2b4a5968778695a4b3c2d1e0f00112233445566778899aabbccddeef"
	d := NewDraft(&Header{
		FeatureLevel: 1, RequestId: []byte("0123456789abcdef"), Principal: owner, Base: 123456,
		Reason: &Reason{Kind: ReasonKind_REASON_KIND_OWNER, View: 123456}, Operation: "PutObject", Node: 2,
	}, &Statement_ObjectPut{ObjectPut: &ObjectPut{
		Bucket: 12, Blobs: []*Blob{blob}, Size: 1 << 20, Etag: "9e107d9d372bb6826bd81d3542a419d6", Owner: owner,
		Checksum: &Checksum{Algorithm: ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32C, Value: []byte{1, 2, 3, 4}},
		Acl:      &ACL{Owner: owner, Grants: []*Grant{{Grantee: owner, Permission: Permission_PERMISSION_FULL_CONTROL}}},
	}})
	return d.AddText(ItemKind_ITEM_KIND_KEY, 0, "photos/2026/11/23/IMG_0001.jpg").
		AddMessage(ItemKind_ITEM_KIND_HEADERS, 0, &Headers{ContentType: "image/jpeg", User: []*UserHeader{{Name: "camera", Value: "x100"}}}).
		AddMessage(ItemKind_ITEM_KIND_CLIENT, 0, &Client{Address: "10.1.2.3", UserAgent: "aws-sdk-go-v2/1.30.0", AccessKey: "AKIAIOSFODNN7EXAMPLE"})
}

func BenchmarkCanonical(b *testing.B) {
	s := typicalPut().Statement
	b.ReportAllocs()
	for b.Loop() {
		Canonical(s)
	}
}

func BenchmarkParse(b *testing.B) {
	p, err := typicalPut().Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := Parse(p); err != nil {
			b.Fatal(err)
		}
	}
}
