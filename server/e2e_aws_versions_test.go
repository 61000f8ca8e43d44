package server_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// versions are two versions of a key, its marker, and what becomes of them.
func (a *awsRun) versions() {
	bucket, key := aws.String("aws-sdk-versions"), aws.String("k")
	_, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: bucket})
	a.ok(err)
	put := func(body string) *string {
		a.Helper()
		out, err := a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(body)})
		a.ok(err)
		return out.VersionId
	}
	if v := put("null"); v != nil {
		a.Errorf("without versioning a put has version %s", *v)
	}
	a.versioning(bucket, types.BucketVersioningStatusEnabled)
	one := put("one")
	two := put("two")
	a.sameVersions(bucket, *two+" latest", *one, "null")
	out, err := a.s3.DeleteObject(a.ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key})
	a.ok(err)
	if !aws.ToBool(out.DeleteMarker) || out.VersionId == nil {
		a.Fatalf("a delete makes no marker: %+v", out)
	}
	marker := out.VersionId
	a.sameVersions(bucket, *marker+" marker latest", *two, *one, "null")
	a.answers(404, "true", *marker, func() error {
		_, err := a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
		return err
	})
	a.answers(405, "true", *marker, func() error {
		_, err := a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: marker})
		return err
	})
	for version, body := range map[string]string{*one: "one", *two: "two", "null": "null"} {
		a.versionIs(bucket, key, aws.String(version), body)
	}
	// An older version becomes current by a copy of it, and the marker goes for good.
	copied, err := a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: bucket, Key: key, CopySource: aws.String(*bucket + "/k?versionId=" + *one)})
	a.ok(err)
	a.same("the source's version", *copied.CopySourceVersionId, *one)
	a.versionIs(bucket, key, nil, "one")
	gone, err := a.s3.DeleteObjects(a.ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: key, VersionId: marker}, {Key: key, VersionId: copied.VersionId}, {Key: aws.String("none")},
	}}})
	a.ok(err)
	if len(gone.Deleted) != 3 || len(gone.Errors) != 0 || *gone.Deleted[0].DeleteMarkerVersionId != *marker || gone.Deleted[2].DeleteMarkerVersionId == nil {
		a.Errorf("deleted %+v, %+v", gone.Deleted, gone.Errors)
	}
	a.versionIs(bucket, key, nil, "two")
	// Suspended: the null version is replaced, the others stay.
	a.versioning(bucket, types.BucketVersioningStatusSuspended)
	put("null again")
	a.versionIs(bucket, key, aws.String("null"), "null again")
	a.versionIs(bucket, key, two, "two")
	_, err = a.s3.DeleteBucket(a.ctx, &s3.DeleteBucketInput{Bucket: bucket})
	a.want("BucketNotEmpty", err)
}

func (a *awsRun) versioning(bucket *string, status types.BucketVersioningStatus) {
	a.Helper()
	_, err := a.s3.PutBucketVersioning(a.ctx, &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
	a.ok(err)
	out, err := a.s3.GetBucketVersioning(a.ctx, &s3.GetBucketVersioningInput{Bucket: bucket})
	a.ok(err)
	a.same("versioning", out.Status, status)
}

// versionIs reads a version; nil: the current one.
func (a *awsRun) versionIs(bucket, key, version *string, want string) {
	a.Helper()
	out, err := a.s3.GetObject(a.ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: version})
	a.ok(err)
	b, err := io.ReadAll(out.Body)
	a.ok(err)
	a.same("version", string(b), want)
	if version != nil {
		a.same("version id", *out.VersionId, *version)
	}
}

// sameVersions lists the versions of a bucket, page by page of two.
func (a *awsRun) sameVersions(bucket *string, want ...string) {
	a.Helper()
	var got []string
	in := &s3.ListObjectVersionsInput{Bucket: bucket, MaxKeys: aws.Int32(2)}
	for page := 0; ; page++ {
		out, err := a.s3.ListObjectVersions(a.ctx, in)
		a.ok(err)
		line := func(version *string, marker bool, latest *bool) {
			s := *version
			if marker {
				s += " marker"
			}
			if *latest {
				s += " latest"
			}
			got = append(got, s)
		}
		for _, m := range out.DeleteMarkers { // there is but one key, whose marker is its newest version
			line(m.VersionId, true, m.IsLatest)
		}
		for _, v := range out.Versions {
			line(v.VersionId, false, v.IsLatest)
		}
		if !aws.ToBool(out.IsTruncated) {
			break
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
	a.same("versions", got, want)
}

// answers expects a refusal that tells of a marker.
func (a *awsRun) answers(status int, marker, version string, do func() error) {
	a.Helper()
	var e *smithyhttp.ResponseError
	if err := do(); !errors.As(err, &e) {
		a.Fatalf("%v, want status %d", err, status)
	}
	h := http.Header(e.Response.Header)
	if e.HTTPStatusCode() != status || h.Get("X-Amz-Delete-Marker") != marker || h.Get("X-Amz-Version-Id") != version {
		a.Errorf("status %d, headers %v", e.HTTPStatusCode(), h)
	}
}

// locks are retention, legal hold, and who may pass over them.
func (a *awsRun) locks() {
	bucket, key := aws.String("aws-sdk-locks"), aws.String("k")
	_, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: bucket, ObjectLockEnabledForBucket: aws.Bool(true)})
	a.ok(err)
	_, err = a.s3.PutBucketVersioning(a.ctx, &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: "Suspended"}})
	a.want("InvalidBucketState", err)
	days := aws.Int32(1)
	_, err = a.s3.PutObjectLockConfiguration(a.ctx, &s3.PutObjectLockConfigurationInput{Bucket: bucket, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: "Enabled", Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: "GOVERNANCE", Days: days}},
	}})
	a.ok(err)
	config, err := a.s3.GetObjectLockConfiguration(a.ctx, &s3.GetObjectLockConfigurationInput{Bucket: bucket})
	a.ok(err)
	a.same("default retention", *config.ObjectLockConfiguration.Rule.DefaultRetention.Days, *days)
	put, err := a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("kept")})
	a.ok(err)
	head, err := a.s3.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
	a.ok(err)
	a.same("mode", head.ObjectLockMode, types.ObjectLockModeGovernance)
	if in := time.Until(*head.ObjectLockRetainUntilDate); in < 23*time.Hour || in > 25*time.Hour {
		a.Errorf("kept for %v", in)
	}
	remove := func(bypass bool) error {
		_, err := a.s3.DeleteObject(a.ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key, VersionId: put.VersionId, BypassGovernanceRetention: aws.Bool(bypass)})
		return err
	}
	a.want("AccessDenied", remove(false))
	hold := func(status types.ObjectLockLegalHoldStatus) {
		_, err := a.s3.PutObjectLegalHold(a.ctx, &s3.PutObjectLegalHoldInput{Bucket: bucket, Key: key, LegalHold: &types.ObjectLockLegalHold{Status: status}})
		a.ok(err)
	}
	hold("ON")
	a.want("AccessDenied", remove(true))
	hold("OFF")
	soon := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	retain := func(mode types.ObjectLockRetentionMode, until time.Time, bypass bool) error {
		_, err := a.s3.PutObjectRetention(a.ctx, &s3.PutObjectRetentionInput{Bucket: bucket, Key: key, BypassGovernanceRetention: aws.Bool(bypass),
			Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: &until}})
		return err
	}
	a.want("AccessDenied", retain("GOVERNANCE", soon, false))
	a.want("InvalidArgument", retain("GOVERNANCE", time.Now().Add(-time.Hour), true))
	// Who may not pass over a key's retention may not do so in a list of deletions.
	deny := func(bucket *string, action, key string) {
		a.Helper()
		_, err := a.s3.PutBucketPolicy(a.ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"` + action + `","Resource":"arn:aws:s3:::` + *bucket + "/" + key + `"}]}`)})
		a.ok(err)
	}
	deny(bucket, "s3:BypassGovernanceRetention", *key)
	list, err := a.s3.DeleteObjects(a.ctx, &s3.DeleteObjectsInput{Bucket: bucket, BypassGovernanceRetention: aws.Bool(true),
		Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: key, VersionId: put.VersionId}}}})
	a.ok(err)
	if len(list.Errors) != 1 || *list.Errors[0].Code != "AccessDenied" {
		a.Errorf("a denied bypass in a list: %+v, %+v", list.Deleted, list.Errors)
	}
	_, err = a.s3.DeleteBucketPolicy(a.ctx, &s3.DeleteBucketPolicyInput{Bucket: bucket})
	a.ok(err)
	// Nor is what may not be deleted renamed away.
	for _, k := range []string{"from", "else"} {
		_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String(k), Body: strings.NewReader(k)})
		a.ok(err)
	}
	deny(bucket, "s3:DeleteObject", "from")
	_, err = a.s3.RenameObject(a.ctx, &s3.RenameObjectInput{Bucket: bucket, Key: aws.String("to"), RenameSource: aws.String("from")})
	a.want("AccessDenied", err)
	_, err = a.s3.RenameObject(a.ctx, &s3.RenameObjectInput{Bucket: bucket, Key: aws.String("to"), RenameSource: aws.String("else")})
	a.ok(err)
	a.ok(retain("COMPLIANCE", soon, true))
	got, err := a.s3.GetObjectRetention(a.ctx, &s3.GetObjectRetentionInput{Bucket: bucket, Key: key})
	a.ok(err)
	a.same("until", got.Retention.RetainUntilDate.UTC(), soon)
	a.want("AccessDenied", remove(true)) // not even root
	a.want("AccessDenied", retain("COMPLIANCE", soon.Add(-time.Minute), true))
	a.ok(retain("COMPLIANCE", soon.Add(time.Minute), false))
	plain := aws.String("aws-sdk-plain")
	_, err = a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: plain})
	a.ok(err)
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: plain, Key: key, ObjectLockLegalHoldStatus: "ON"})
	a.want("InvalidRequest", err)
	_, err = a.s3.GetObjectLockConfiguration(a.ctx, &s3.GetObjectLockConfigurationInput{Bucket: plain})
	a.want("ObjectLockConfigurationNotFoundError", err)
}

// tags are those of objects.
func (a *awsRun) tags() {
	a.put("tagged", []byte("x"), func(in *s3.PutObjectInput) { in.Tagging = aws.String("a=1") })
	key := aws.String("tagged")
	_, err := a.s3.PutObjectTagging(a.ctx, &s3.PutObjectTaggingInput{Bucket: a.bucket, Key: key, Tagging: &types.Tagging{TagSet: []types.Tag{
		{Key: aws.String("b"), Value: aws.String("2")}, {Key: aws.String("a"), Value: aws.String("ü & <")},
	}}})
	a.ok(err)
	out, err := a.s3.GetObjectTagging(a.ctx, &s3.GetObjectTaggingInput{Bucket: a.bucket, Key: key})
	a.ok(err)
	if len(out.TagSet) != 2 || *out.TagSet[0].Value != "ü & <" || *out.TagSet[1].Key != "b" {
		a.Errorf("tags %v", out.TagSet)
	}
	_, err = a.other.GetObjectTagging(a.ctx, &s3.GetObjectTaggingInput{Bucket: a.bucket, Key: key})
	a.want("AccessDenied", err)
	twice := []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}, {Key: aws.String("b"), Value: aws.String("3")}}
	_, err = a.s3.PutObjectTagging(a.ctx, &s3.PutObjectTaggingInput{Bucket: a.bucket, Key: key, Tagging: &types.Tagging{TagSet: twice}})
	a.want("InvalidTag", err)
	_, err = a.s3.DeleteObjectTagging(a.ctx, &s3.DeleteObjectTaggingInput{Bucket: a.bucket, Key: key})
	a.ok(err)
	head, err := a.s3.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: a.bucket, Key: key})
	a.ok(err)
	a.same("tags", aws.ToInt32(head.TagCount), 0)
}

// grows are appends and renames.
func (a *awsRun) grows() {
	key := aws.String("log")
	grow := func(offset int64, body string) error {
		_, err := a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: key, WriteOffsetBytes: aws.Int64(offset), Body: strings.NewReader(body)})
		return err
	}
	a.want("InvalidWriteOffset", grow(1, "x"))
	a.ok(grow(0, "first,"))
	a.ok(grow(6, "second,"))
	a.want("InvalidWriteOffset", grow(6, "lost"))
	a.ok(grow(13, "third"))
	a.versionIs(a.bucket, key, nil, "first,second,third")
	_, err := a.s3.RenameObject(a.ctx, &s3.RenameObjectInput{Bucket: a.bucket, Key: aws.String("log/old ü"), RenameSource: aws.String("/" + *a.bucket + "/log")})
	a.ok(err)
	a.versionIs(a.bucket, aws.String("log/old ü"), nil, "first,second,third")
	_, err = a.s3.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: a.bucket, Key: key})
	a.want("NotFound", err)
	_, err = a.s3.RenameObject(a.ctx, &s3.RenameObjectInput{Bucket: a.bucket, Key: aws.String("log/new"), RenameSource: aws.String("log/old%20%C3%BC"),
		SourceIfMatch: aws.String(`"other"`)})
	a.want("PreconditionFailed", err)
	_, err = a.other.RenameObject(a.ctx, &s3.RenameObjectInput{Bucket: a.bucket, Key: aws.String("log/new"), RenameSource: aws.String("log/old%20%C3%BC")})
	a.want("AccessDenied", err)
	_, err = a.s3.DeleteObject(a.ctx, &s3.DeleteObjectInput{Bucket: a.bucket, Key: aws.String("log/old ü")})
	a.ok(err)
}
