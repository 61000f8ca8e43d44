package s3xml

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// wire answers every request of an SDK client with one document and keeps what
// the client sent.
type wire struct {
	answer []byte
	sent   []byte
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		w.sent, _ = io.ReadAll(r.Body)
	}
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/xml"}},
		Body:       io.NopCloser(bytes.NewReader(w.answer)),
		Request:    r,
	}, nil
}

func sdk(answer Response) (*s3.Client, *wire) {
	w := &wire{}
	if answer != nil {
		w.answer = Encode(answer)
	}
	return s3.New(s3.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://store.invalid"),
		UsePathStyle: true,
		HTTPClient:   w,
		Credentials:  aws.AnonymousCredentials{},
	}), w
}

const day = 1767312000 // 2026-01-02T00:00:00Z

var (
	midnight = time.Unix(day, 0).UTC()
	alice    = &Owner{ID: "a1", DisplayName: "alice"}
	bucket   = aws.String("bucket")
	key      = aws.String("k<&>\"' ~é")
	ctx      = context.Background()
)

// same fails unless the SDK read what we wrote.
func same(t *testing.T, err error, got, want any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the SDK read %+v, want %+v", got, want)
	}
}

func TestSDKReadsBuckets(t *testing.T) {
	c, _ := sdk(&ListAllMyBucketsResult{Owner: *alice, ContinuationToken: "next", Prefix: "b",
		Buckets: []Bucket{{Name: "b1", CreationDate: day * 1e9, BucketRegion: "eu-west-1", BucketARN: "arn:aws:s3:::b1"}}})
	out, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	same(t, err, out.Buckets, []types.Bucket{{Name: aws.String("b1"), CreationDate: &midnight,
		BucketRegion: aws.String("eu-west-1"), BucketArn: aws.String("arn:aws:s3:::b1")}})
	same(t, err, out.Owner, &types.Owner{ID: aws.String("a1"), DisplayName: aws.String("alice")})
	same(t, err, *out.ContinuationToken+*out.Prefix, "nextb")

	c, _ = sdk(LocationConstraint("eu-west-1"))
	where, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: bucket})
	same(t, err, where.LocationConstraint, types.BucketLocationConstraintEuWest1)

	c, _ = sdk(&VersioningConfiguration{Status: "Suspended", MFADelete: "Disabled"})
	versioning, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: bucket})
	same(t, err, versioning.Status, types.BucketVersioningStatusSuspended)
	same(t, err, versioning.MFADelete, types.MFADeleteStatusDisabled)
}

func TestSDKReadsListings(t *testing.T) {
	objects := []Object{{Key: *key, LastModified: day * 1e9, ETag: "abc-2", ChecksumAlgorithm: []string{"CRC32"},
		ChecksumType: "FULL_OBJECT", Size: 1 << 40, Owner: alice, StorageClass: "STANDARD"}}
	owner := &types.Owner{ID: aws.String("a1"), DisplayName: aws.String("alice")}
	want := []types.Object{{Key: key, LastModified: &midnight, ETag: aws.String(`"abc-2"`),
		ChecksumAlgorithm: []types.ChecksumAlgorithm{"CRC32"}, ChecksumType: "FULL_OBJECT",
		Size: aws.Int64(1 << 40), Owner: owner, StorageClass: "STANDARD"}}
	prefixes := []types.CommonPrefix{{Prefix: aws.String("p/")}}

	c, _ := sdk(&ListBucketResult{Name: "bucket", Prefix: "x", Marker: "m", NextMarker: "n", MaxKeys: 7,
		Delimiter: "/", IsTruncated: true, Contents: objects, CommonPrefixes: []CommonPrefix{{"p/"}}})
	v1, err := c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: bucket})
	same(t, err, v1.Contents, want)
	same(t, err, v1.CommonPrefixes, prefixes)
	same(t, err, []string{*v1.Name, *v1.Prefix, *v1.Marker, *v1.NextMarker, *v1.Delimiter}, []string{"bucket", "x", "m", "n", "/"})
	same(t, err, []any{*v1.MaxKeys, *v1.IsTruncated, v1.EncodingType}, []any{int32(7), true, types.EncodingType("")})

	c, _ = sdk(&ListBucketResultV2{Name: "bucket", StartAfter: aws.String("s"), ContinuationToken: aws.String(""),
		NextContinuationToken: "n", KeyCount: 2, MaxKeys: 7, EncodingType: EncodingURL, Contents: objects, CommonPrefixes: []CommonPrefix{{"p/"}}})
	v2, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	want[0].Key = aws.String("k%3C%26%3E%22%27%20%7E%C3%A9")
	same(t, err, v2.Contents, want)
	same(t, err, v2.CommonPrefixes, prefixes)
	same(t, err, []string{*v2.Name, *v2.StartAfter, *v2.ContinuationToken, *v2.NextContinuationToken}, []string{"bucket", "s", "", "n"})
	same(t, err, []any{*v2.KeyCount, *v2.MaxKeys, *v2.IsTruncated, v2.EncodingType}, []any{int32(2), int32(7), false, types.EncodingTypeUrl})
}

func TestSDKReadsVersions(t *testing.T) {
	c, _ := sdk(&ListVersionsResult{Name: "bucket", KeyMarker: "k", VersionIDMarker: "v", NextKeyMarker: "nk",
		NextVersionIDMarker: "nv", MaxKeys: 3, IsTruncated: true, CommonPrefixes: []CommonPrefix{{"p/"}},
		Entries: []ObjectVersion{
			{Key: "a", VersionID: "3", DeleteMarker: true, IsLatest: true, LastModified: day * 1e9, Owner: alice},
			{Key: "a", VersionID: "null", LastModified: day * 1e9, ETag: "e", Size: 5, Owner: alice, StorageClass: "STANDARD",
				ChecksumAlgorithm: []string{"SHA256"}, ChecksumType: "COMPOSITE"},
		}})
	out, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: bucket})
	owner := &types.Owner{ID: aws.String("a1"), DisplayName: aws.String("alice")}
	same(t, err, out.DeleteMarkers, []types.DeleteMarkerEntry{{Key: aws.String("a"), VersionId: aws.String("3"),
		IsLatest: aws.Bool(true), LastModified: &midnight, Owner: owner}})
	same(t, err, out.Versions, []types.ObjectVersion{{Key: aws.String("a"), VersionId: aws.String("null"),
		IsLatest: aws.Bool(false), LastModified: &midnight, ETag: aws.String(`"e"`), Size: aws.Int64(5), Owner: owner,
		StorageClass: "STANDARD", ChecksumAlgorithm: []types.ChecksumAlgorithm{"SHA256"}, ChecksumType: "COMPOSITE"}})
	same(t, err, []string{*out.KeyMarker, *out.VersionIdMarker, *out.NextKeyMarker, *out.NextVersionIdMarker}, []string{"k", "v", "nk", "nv"})
	same(t, err, out.CommonPrefixes, []types.CommonPrefix{{Prefix: aws.String("p/")}})
}

func TestSDKReadsObjects(t *testing.T) {
	sums := Checksums{ChecksumCRC32: "1", ChecksumCRC32C: "2", ChecksumCRC64NVME: "3", ChecksumSHA1: "4", ChecksumSHA256: "5"}
	c, _ := sdk(&CopyObjectResult{ETag: "e", LastModified: day * 1e9, ChecksumType: "FULL_OBJECT", Checksums: sums})
	cp, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: key, CopySource: aws.String("b/k")})
	same(t, err, cp.CopyObjectResult, &types.CopyObjectResult{ETag: aws.String(`"e"`), LastModified: &midnight, ChecksumType: "FULL_OBJECT",
		ChecksumCRC32: aws.String("1"), ChecksumCRC32C: aws.String("2"), ChecksumCRC64NVME: aws.String("3"), ChecksumSHA1: aws.String("4"), ChecksumSHA256: aws.String("5")})

	c, _ = sdk(&DeleteResult{
		Deleted: []DeletedObject{{Key: *key, VersionID: "1", DeleteMarker: true, DeleteMarkerVersionID: "2"}},
		Errors:  []DeleteError{{Key: "x", VersionID: "3", Code: "AccessDenied", Message: "Access Denied"}}})
	del, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: key}}}})
	same(t, err, del.Deleted, []types.DeletedObject{{Key: key, VersionId: aws.String("1"), DeleteMarker: aws.Bool(true), DeleteMarkerVersionId: aws.String("2")}})
	same(t, err, del.Errors, []types.Error{{Key: aws.String("x"), VersionId: aws.String("3"), Code: aws.String("AccessDenied"), Message: aws.String("Access Denied")}})

	c, _ = sdk(&GetObjectAttributesResponse{ETag: "e", StorageClass: "STANDARD", ObjectSize: aws.Int64(9),
		Checksum: &Checksum{sums, "COMPOSITE"}, ObjectParts: &GetObjectAttributesParts{IsTruncated: true, MaxParts: 1,
			NextPartNumberMarker: 2, PartNumberMarker: 1, TotalPartsCount: 4, Parts: []ObjectPart{{PartNumber: 2, Size: 5, Checksums: Checksums{ChecksumCRC32: "1"}}}}})
	at, err := c.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: bucket, Key: key, ObjectAttributes: []types.ObjectAttributes{"ETag"}})
	same(t, err, []any{*at.ETag, at.StorageClass, *at.ObjectSize}, []any{"e", types.StorageClassStandard, int64(9)})
	same(t, err, at.Checksum, &types.Checksum{ChecksumType: "COMPOSITE", ChecksumCRC32: aws.String("1"), ChecksumCRC32C: aws.String("2"),
		ChecksumCRC64NVME: aws.String("3"), ChecksumSHA1: aws.String("4"), ChecksumSHA256: aws.String("5")})
	same(t, err, at.ObjectParts, &types.GetObjectAttributesParts{IsTruncated: aws.Bool(true), MaxParts: aws.Int32(1), NextPartNumberMarker: aws.String("2"),
		PartNumberMarker: aws.String("1"), TotalPartsCount: aws.Int32(4), Parts: []types.ObjectPart{{PartNumber: aws.Int32(2), Size: aws.Int64(5), ChecksumCRC32: aws.String("1")}}})

	c, _ = sdk(&Tagging{TagSet: TagSet{Tags: []Tag{{"k", ""}, {"ü", "<v>"}}}})
	tags, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: bucket, Key: key})
	same(t, err, tags.TagSet, []types.Tag{{Key: aws.String("k"), Value: aws.String("")}, {Key: aws.String("ü"), Value: aws.String("<v>")}})
}

func TestSDKReadsMultipart(t *testing.T) {
	c, _ := sdk(&InitiateMultipartUploadResult{Bucket: "bucket", Key: *key, UploadID: "u"})
	begun, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	same(t, err, []string{*begun.Bucket, *begun.Key, *begun.UploadId}, []string{"bucket", *key, "u"})

	c, _ = sdk(&CompleteMultipartUploadResult{Location: "http://x/y", Bucket: "bucket", Key: *key, ETag: "e-2", ChecksumType: "COMPOSITE", Checksums: Checksums{ChecksumSHA256: "s-2"}})
	done, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: aws.String("u")})
	same(t, err, []string{*done.Location, *done.Bucket, *done.Key, *done.ETag, *done.ChecksumSHA256, string(done.ChecksumType)},
		[]string{"http://x/y", "bucket", *key, `"e-2"`, "s-2", "COMPOSITE"})

	c, _ = sdk(&CopyPartResult{ETag: "e", LastModified: day * 1e9, Checksums: Checksums{ChecksumCRC32: "1"}})
	part, err := c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: bucket, Key: key, UploadId: aws.String("u"), PartNumber: aws.Int32(1), CopySource: aws.String("b/k")})
	same(t, err, part.CopyPartResult, &types.CopyPartResult{ETag: aws.String(`"e"`), LastModified: &midnight, ChecksumCRC32: aws.String("1")})

	c, _ = sdk(&ListPartsResult{Bucket: "bucket", Key: *key, UploadID: "u", Initiator: &Owner{"i", "ida"}, Owner: alice, StorageClass: "STANDARD",
		PartNumberMarker: 1, NextPartNumberMarker: 2, MaxParts: 1, IsTruncated: true, ChecksumAlgorithm: "CRC32", ChecksumType: "COMPOSITE",
		Parts: []Part{{PartNumber: 2, LastModified: day * 1e9, ETag: "e", Size: 5, Checksums: Checksums{ChecksumCRC32: "1"}}}})
	parts, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: bucket, Key: key, UploadId: aws.String("u")})
	same(t, err, parts.Parts, []types.Part{{PartNumber: aws.Int32(2), LastModified: &midnight, ETag: aws.String(`"e"`), Size: aws.Int64(5), ChecksumCRC32: aws.String("1")}})
	same(t, err, []any{*parts.Initiator.ID, *parts.Initiator.DisplayName, *parts.Owner.ID, *parts.PartNumberMarker, *parts.NextPartNumberMarker, *parts.MaxParts, *parts.IsTruncated, parts.ChecksumAlgorithm, parts.ChecksumType},
		[]any{"i", "ida", "a1", "1", "2", int32(1), true, types.ChecksumAlgorithmCrc32, types.ChecksumTypeComposite})

	c, _ = sdk(&ListMultipartUploadsResult{Bucket: "bucket", KeyMarker: "k", UploadIDMarker: "u", NextKeyMarker: "nk", NextUploadIDMarker: "nu",
		Prefix: "p", Delimiter: "/", MaxUploads: 2, IsTruncated: true, CommonPrefixes: []CommonPrefix{{"p/"}},
		Uploads: []MultipartUpload{{Key: *key, UploadID: "u", Initiator: alice, Owner: alice, StorageClass: "STANDARD", Initiated: day * 1e9, ChecksumAlgorithm: "CRC32", ChecksumType: "COMPOSITE"}}})
	ups, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: bucket})
	owner := &types.Owner{ID: aws.String("a1"), DisplayName: aws.String("alice")}
	same(t, err, ups.Uploads, []types.MultipartUpload{{Key: key, UploadId: aws.String("u"), Initiator: &types.Initiator{ID: owner.ID, DisplayName: owner.DisplayName},
		Owner: owner, StorageClass: "STANDARD", Initiated: &midnight, ChecksumAlgorithm: "CRC32", ChecksumType: "COMPOSITE"}})
	same(t, err, []string{*ups.Bucket, *ups.KeyMarker, *ups.UploadIdMarker, *ups.NextKeyMarker, *ups.NextUploadIdMarker, *ups.Prefix, *ups.Delimiter},
		[]string{"bucket", "k", "u", "nk", "nu", "p", "/"})
	same(t, err, ups.CommonPrefixes, []types.CommonPrefix{{Prefix: aws.String("p/")}})
}

func TestSDKReadsACL(t *testing.T) {
	c, _ := sdk(&AccessControlPolicy{Owner: alice, AccessControlList: AccessControlList{Grants: []Grant{
		{Grantee{Type: Group, URI: "http://acs.amazonaws.com/groups/global/AllUsers"}, "READ"},
		{Grantee{Type: CanonicalUser, ID: "a1", DisplayName: "alice"}, "FULL_CONTROL"}}}})
	out, err := c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: bucket})
	same(t, err, out.Grants, []types.Grant{
		{Grantee: &types.Grantee{Type: "Group", URI: aws.String("http://acs.amazonaws.com/groups/global/AllUsers")}, Permission: "READ"},
		{Grantee: &types.Grantee{Type: "CanonicalUser", ID: aws.String("a1"), DisplayName: aws.String("alice")}, Permission: "FULL_CONTROL"}})
	same(t, err, *out.Owner.ID, "a1")

	c, _ = sdk(&AccessControlPolicy{Owner: alice})
	out, err = c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: bucket})
	same(t, err, out.Grants, []types.Grant{})
}

// sent decodes what an SDK call put on the wire.
func sent[T any](t *testing.T, w *wire) *T {
	t.Helper()
	v := new(T)
	if err := Decode(bytes.NewReader(w.sent), MaxBody, v); err != nil {
		t.Fatalf("%v: %s", err, w.sent)
	}
	return v
}

func TestSDKWrites(t *testing.T) {
	c, w := sdk(&DeleteResult{})
	_, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Quiet: aws.Bool(true), Objects: []types.ObjectIdentifier{
		{Key: key, VersionId: aws.String("1"), ETag: aws.String(`"e"`), LastModifiedTime: &midnight, Size: aws.Int64(5)}, {Key: aws.String("b\r\n")}}}})
	etag, size, at := ETag("e"), int64(5), HTTPTime(day)
	same(t, err, sent[Delete](t, w), &Delete{Quiet: true, Objects: []ObjectIdentifier{
		{Key: *key, VersionID: "1", ETag: &etag, LastModifiedTime: &at, Size: &size}, {Key: "b\r\n"}}})

	c, w = sdk(&CompleteMultipartUploadResult{})
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: aws.String("u"), MultipartUpload: &types.CompletedMultipartUpload{
		Parts: []types.CompletedPart{{PartNumber: aws.Int32(3), ETag: aws.String(`"e"`), ChecksumCRC32: aws.String("1"), ChecksumCRC32C: aws.String("2"), ChecksumCRC64NVME: aws.String("3"),
			ChecksumMD5: aws.String("4"), ChecksumSHA1: aws.String("5"), ChecksumSHA256: aws.String("6"), ChecksumSHA512: aws.String("7"),
			ChecksumXXHASH128: aws.String("8"), ChecksumXXHASH3: aws.String("9"), ChecksumXXHASH64: aws.String("10")}}}})
	same(t, err, sent[CompleteMultipartUpload](t, w).Parts, []CompletedPart{{PartNumber: 3, ETag: "e",
		Checksums: Checksums{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}}})

	c, w = sdk(nil)
	_, err = c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: bucket, AccessControlPolicy: &types.AccessControlPolicy{
		Owner: &types.Owner{ID: aws.String("a1"), DisplayName: aws.String("alice")}, Grants: []types.Grant{
			{Grantee: &types.Grantee{Type: "CanonicalUser", ID: aws.String("b2")}, Permission: "READ_ACP"},
			{Grantee: &types.Grantee{Type: "AmazonCustomerByEmail", EmailAddress: aws.String("c@d")}, Permission: "WRITE"},
			{Grantee: &types.Grantee{Type: "Group", URI: aws.String("u")}, Permission: "READ"}}}})
	same(t, err, sent[AccessControlPolicy](t, w), &AccessControlPolicy{Owner: alice, AccessControlList: AccessControlList{Grants: []Grant{
		{Grantee{Type: "CanonicalUser", ID: "b2"}, "READ_ACP"}, {Grantee{Type: "AmazonCustomerByEmail", EmailAddress: "c@d"}, "WRITE"}, {Grantee{Type: "Group", URI: "u"}, "READ"}}}})

	_, err = c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled", MFADelete: "Disabled"}})
	same(t, err, sent[VersioningConfiguration](t, w), &VersioningConfiguration{Status: "Enabled", MFADelete: "Disabled"})

	_, err = c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: bucket, Key: key, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("k"), Value: aws.String("")}}}})
	same(t, err, sent[Tagging](t, w), &Tagging{TagSet: TagSet{Tags: []Tag{{Key: "k"}}}})

	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1",
		Bucket: &types.BucketInfo{DataRedundancy: "SingleAvailabilityZone", Type: "Directory"}, Location: &types.LocationInfo{Name: aws.String("z"), Type: "AvailabilityZone"},
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}})
	same(t, err, sent[CreateBucketConfiguration](t, w), &CreateBucketConfiguration{LocationConstraint: "eu-west-1",
		Bucket: &BucketInfo{"SingleAvailabilityZone", "Directory"}, Location: &LocationInfo{"z", "AvailabilityZone"}, Tags: &TagSet{Tags: []Tag{{"k", "v"}}}})
}

func TestEncodeBeginsWithTheDeclaration(t *testing.T) {
	if doc := string(Encode(LocationConstraint(""))); doc != Header+`<LocationConstraint xmlns="`+Namespace+`"></LocationConstraint>` {
		t.Error(doc)
	}
	if !strings.HasPrefix(Header, "<?xml ") {
		t.Error(Header)
	}
}
