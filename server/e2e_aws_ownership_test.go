package server_test

import (
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// putBy stores an object in a bucket of somebody's.
func (a *awsRun) putBy(c *s3.Client, bucket, key *string, acl types.ObjectCannedACL) error {
	_, err := c.PutObject(a.ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("x"), ACL: acl})
	return err
}

// ownerOf is whose an object is, by its access control list.
func (a *awsRun) ownerOf(bucket, key *string) string {
	a.Helper()
	out, err := a.s3.GetObjectAcl(a.ctx, &s3.GetObjectAclInput{Bucket: bucket, Key: key})
	a.ok(err)
	return *out.Owner.ID
}

func ownership(v types.ObjectOwnership) *types.OwnershipControls {
	return &types.OwnershipControls{Rules: []types.OwnershipControlsRule{{ObjectOwnership: v}}}
}

// ownership: whose objects are that others put, and what becomes of lists.
func (a *awsRun) ownership() {
	root, alice := a.canonicalID(a.s3), a.canonicalID(a.other)
	_, err := a.s3.GetBucketOwnershipControls(a.ctx, &s3.GetBucketOwnershipControlsInput{Bucket: a.bucket})
	a.want("OwnershipControlsNotFoundError", err)
	open := aws.String("open-to-all")
	_, err = a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: open, ACL: "public-read-write", ObjectOwnership: "BucketOwnerPreferred"})
	a.ok(err)
	out, err := a.s3.GetBucketOwnershipControls(a.ctx, &s3.GetBucketOwnershipControlsInput{Bucket: open})
	a.ok(err)
	a.same("preferred", out.OwnershipControls.Rules[0].ObjectOwnership, "BucketOwnerPreferred")
	hers, given := aws.String("hers"), aws.String("given")
	a.ok(a.putBy(a.other, open, hers, ""))
	a.ok(a.putBy(a.other, open, given, "bucket-owner-full-control"))
	a.same("her object", a.ownerOf(open, hers), alice)
	a.same("her present", a.ownerOf(open, given), root)
	up, err := a.other.CreateMultipartUpload(a.ctx, &s3.CreateMultipartUploadInput{Bucket: open, Key: given, ACL: "bucket-owner-full-control"})
	a.ok(err)
	_, err = a.other.UploadPart(a.ctx, &s3.UploadPartInput{Bucket: open, Key: given, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
	a.ok(err) // who began an upload goes on with it, whoever will own the object
	_, err = a.other.AbortMultipartUpload(a.ctx, &s3.AbortMultipartUploadInput{Bucket: open, Key: given, UploadId: up.UploadId})
	a.ok(err)

	set := func(v types.ObjectOwnership) error {
		_, err := a.s3.PutBucketOwnershipControls(a.ctx, &s3.PutBucketOwnershipControlsInput{Bucket: open, OwnershipControls: ownership(v)})
		return err
	}
	a.want("InvalidBucketAclWithObjectOwnership", set("BucketOwnerEnforced"))
	_, err = a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: aws.String("never-open"), ACL: "public-read", ObjectOwnership: "BucketOwnerEnforced"})
	a.want("InvalidBucketAclWithObjectOwnership", err)
	_, err = a.s3.PutBucketAcl(a.ctx, &s3.PutBucketAclInput{Bucket: open, ACL: "private"})
	a.ok(err)
	a.ok(set("BucketOwnerEnforced"))
	a.enforced(open, hers, root)
	_, err = a.s3.DeleteBucketOwnershipControls(a.ctx, &s3.DeleteBucketOwnershipControlsInput{Bucket: open})
	a.ok(err)
	a.same("hers again", func() string {
		out, err := a.other.GetObjectAcl(a.ctx, &s3.GetObjectAclInput{Bucket: open, Key: hers})
		a.ok(err)
		return *out.Owner.ID
	}(), alice)
}

// enforced: no list says anything, and everything is the bucket owner's.
func (a *awsRun) enforced(bucket, hers *string, root string) {
	const refused = "AccessControlListNotSupported"
	_, err := a.other.GetObject(a.ctx, &s3.GetObjectInput{Bucket: bucket, Key: hers})
	a.want("AccessDenied", err)
	a.same("hers, shown as", a.ownerOf(bucket, hers), root)
	list, err := a.s3.ListObjectsV2(a.ctx, &s3.ListObjectsV2Input{Bucket: bucket, FetchOwner: aws.Bool(true)})
	a.ok(err)
	for _, o := range list.Contents {
		a.same("listed owner of "+*o.Key, *o.Owner.ID, root)
	}
	key := aws.String("put-while-enforced")
	a.ok(a.putBy(a.s3, bucket, key, ""))
	a.ok(a.putBy(a.s3, bucket, key, "bucket-owner-full-control"))
	a.want(refused, a.putBy(a.s3, bucket, key, "private"))
	a.want(refused, a.putBy(a.s3, bucket, key, "public-read"))
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, GrantRead: aws.String("id=" + root)})
	a.want(refused, err)
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, GrantFullControl: aws.String("id=" + root)})
	a.ok(err) // the same, said otherwise
	_, err = a.s3.CreateMultipartUpload(a.ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ACL: "private"})
	a.want(refused, err)
	_, err = a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String(*bucket + "/" + *key), ACL: "public-read"})
	a.want(refused, err)
	_, err = a.s3.PutBucketAcl(a.ctx, &s3.PutBucketAclInput{Bucket: bucket, ACL: "private"})
	a.want(refused, err)
	_, err = a.s3.PutObjectAcl(a.ctx, &s3.PutObjectAclInput{Bucket: bucket, Key: key, ACL: "public-read"})
	a.want(refused, err)
	_, err = a.s3.PutObjectAcl(a.ctx, &s3.PutObjectAclInput{Bucket: bucket, Key: key, ACL: "bucket-owner-full-control"})
	a.ok(err)
	shown, err := a.s3.GetObjectAcl(a.ctx, &s3.GetObjectAclInput{Bucket: bucket, Key: key})
	a.ok(err)
	a.same("list while disabled", grants(shown.Grants), []string{root + " FULL_CONTROL"})
}

// publicAccess: what a public access block forbids (S-D3).
func (a *awsRun) publicAccess() {
	bucket, key, shut := aws.String("once-public"), aws.String("page"), aws.String("shut")
	_, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: bucket, ACL: "public-read"})
	a.ok(err)
	a.ok(a.putBy(a.s3, bucket, key, "public-read"))
	_, err = a.s3.GetPublicAccessBlock(a.ctx, &s3.GetPublicAccessBlockInput{Bucket: bucket})
	a.want("NoSuchPublicAccessBlockConfiguration", err)
	block := func(c types.PublicAccessBlockConfiguration) {
		a.Helper()
		_, err := a.s3.PutPublicAccessBlock(a.ctx, &s3.PutPublicAccessBlockInput{Bucket: bucket, PublicAccessBlockConfiguration: &c})
		a.ok(err)
	}
	reads := func(c *s3.Client) error {
		_, err := c.ListObjectVersions(a.ctx, &s3.ListObjectVersionsInput{Bucket: bucket})
		if err != nil {
			return err
		}
		out, err := c.GetObject(a.ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
		if err == nil {
			_, _ = io.Copy(io.Discard, out.Body)
			out.Body.Close()
		}
		return err
	}
	block(types.PublicAccessBlockConfiguration{BlockPublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true)})
	out, err := a.s3.GetPublicAccessBlock(a.ctx, &s3.GetPublicAccessBlockInput{Bucket: bucket})
	a.ok(err)
	c := out.PublicAccessBlockConfiguration
	a.same("block", []bool{*c.BlockPublicAcls, *c.IgnorePublicAcls, *c.BlockPublicPolicy, *c.RestrictPublicBuckets}, []bool{true, false, true, false})
	a.ok(reads(a.nobody)) // what is public already stays so
	for _, acl := range []types.ObjectCannedACL{"public-read", "public-read-write", "authenticated-read"} {
		a.want("AccessDenied", a.putBy(a.s3, bucket, shut, acl))
		_, err = a.s3.PutBucketAcl(a.ctx, &s3.PutBucketAclInput{Bucket: bucket, ACL: types.BucketCannedACL(acl)})
		a.want("AccessDenied", err)
		_, err = a.s3.PutObjectAcl(a.ctx, &s3.PutObjectAclInput{Bucket: bucket, Key: key, ACL: acl})
		a.want("AccessDenied", err)
		_, err = a.s3.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: bucket, Key: shut, ACL: acl, CopySource: aws.String(*bucket + "/" + *key)})
		a.want("AccessDenied", err)
		_, err = a.s3.CreateMultipartUpload(a.ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: shut, ACL: acl})
		a.want("AccessDenied", err)
	}
	_, err = a.s3.PutObject(a.ctx, &s3.PutObjectInput{Bucket: bucket, Key: shut, GrantRead: aws.String(`uri="` + allUsers + `"`)})
	a.want("AccessDenied", err)
	a.ok(a.putBy(a.s3, bucket, shut, "private"))

	block(types.PublicAccessBlockConfiguration{IgnorePublicAcls: aws.Bool(true)})
	a.ok(a.putBy(a.s3, bucket, key, "public-read"))
	a.want("AccessDenied", reads(a.nobody))
	a.want("AccessDenied", reads(a.other))
	a.ok(reads(a.s3))
	_, err = a.other.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: aws.String("logs-of-alice"), Key: key, CopySource: aws.String(*bucket + "/" + *key)})
	a.want("AccessDenied", err)
	_, err = a.s3.DeletePublicAccessBlock(a.ctx, &s3.DeletePublicAccessBlockInput{Bucket: bucket})
	a.ok(err)
	a.ok(reads(a.nobody))
}

// requesterPays: others must say that they will pay.
func (a *awsRun) requesterPays() {
	bucket, key := aws.String("requester-pays"), aws.String("page")
	_, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: bucket, ACL: "public-read-write"})
	a.ok(err)
	a.ok(a.putBy(a.s3, bucket, key, "public-read"))
	payer := func() types.Payer {
		out, err := a.s3.GetBucketRequestPayment(a.ctx, &s3.GetBucketRequestPaymentInput{Bucket: bucket})
		a.ok(err)
		return out.Payer
	}
	set := func(p types.Payer) {
		_, err := a.s3.PutBucketRequestPayment(a.ctx, &s3.PutBucketRequestPaymentInput{Bucket: bucket, RequestPaymentConfiguration: &types.RequestPaymentConfiguration{Payer: p}})
		a.ok(err)
	}
	a.same("at first", payer(), "BucketOwner")
	set("Requester")
	a.same("then", payer(), "Requester")
	head := func(c *s3.Client, p types.RequestPayer) (*s3.HeadObjectOutput, error) {
		return c.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key, RequestPayer: p})
	}
	own, err := head(a.s3, "")
	a.ok(err)
	a.same("the owner is not charged", own.RequestCharged, "")
	_, err = head(a.other, "")
	a.want("Forbidden", err)
	_, err = head(a.nobody, "requester")
	a.want("Forbidden", err)
	paid, err := head(a.other, "requester")
	a.ok(err)
	a.same("charged", paid.RequestCharged, "requester")
	mine := aws.String("logs-of-alice")
	in := &s3.CopyObjectInput{Bucket: mine, Key: key, CopySource: aws.String(*bucket + "/" + *key)}
	_, err = a.other.CopyObject(a.ctx, in)
	a.want("AccessDenied", err) // nor by way of a copy
	in.RequestPayer = "requester"
	copied, err := a.other.CopyObject(a.ctx, in)
	a.ok(err)
	a.same("charged for the copy", copied.RequestCharged, "requester")
	a.want("AccessDenied", a.putBy(a.other, bucket, aws.String("put"), ""))
	set("BucketOwner")
	a.same("at last", payer(), "BucketOwner")
	_, err = head(a.nobody, "")
	a.ok(err)
}
