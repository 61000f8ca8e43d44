package server_test

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	allUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	authenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
)

// grants are an access control list as text: grantee and permission, sorted.
func grants(list []types.Grant) []string {
	var out []string
	for _, g := range list {
		who := aws.ToString(g.Grantee.URI)
		if who == "" {
			who = aws.ToString(g.Grantee.ID)
		}
		out = append(out, who+" "+string(g.Permission))
	}
	slices.Sort(out)
	return out
}

// canonicalID asks a client who it is: the owner of its buckets.
func (a *awsRun) canonicalID(c *s3.Client) string {
	a.Helper()
	out, err := c.ListBuckets(a.ctx, &s3.ListBucketsInput{})
	a.ok(err)
	return *out.Owner.ID
}

// may checks what a client may do with one object and its bucket.
func (a *awsRun) may(who string, c *s3.Client, key string, read, write, list bool) {
	a.Helper()
	judge := func(what string, allowed bool, err error) {
		a.Helper()
		if allowed && err != nil {
			a.Errorf("%s: %s: %v", who, what, err)
		}
		if !allowed {
			a.want("AccessDenied", err)
		}
	}
	out, err := c.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: &key})
	judge("read", read, err)
	if err == nil {
		_, _ = io.Copy(io.Discard, out.Body)
		out.Body.Close()
	}
	_, err = c.PutObject(a.ctx, &s3.PutObjectInput{Bucket: a.bucket, Key: aws.String("acl/by " + who), Body: strings.NewReader("x")})
	judge("write", write, err)
	_, err = c.ListObjectsV2(a.ctx, &s3.ListObjectsV2Input{Bucket: a.bucket, MaxKeys: aws.Int32(1)})
	judge("list", list, err)
}

func (a *awsRun) bucketACL() {
	root, alice := a.canonicalID(a.s3), a.canonicalID(a.other)
	a.put("acl/object", []byte("private"))
	get := func() []string {
		out, err := a.s3.GetBucketAcl(a.ctx, &s3.GetBucketAclInput{Bucket: a.bucket})
		a.ok(err)
		a.same("owner", *out.Owner.ID, root)
		return grants(out.Grants)
	}
	set := func(in *s3.PutBucketAclInput) {
		in.Bucket = a.bucket
		_, err := a.s3.PutBucketAcl(a.ctx, in)
		a.ok(err)
	}
	owner := root + " FULL_CONTROL"
	a.same("default", get(), []string{owner})
	a.may("alice", a.other, "acl/object", false, false, false)
	a.may("nobody", a.nobody, "acl/object", false, false, false)

	set(&s3.PutBucketAclInput{ACL: types.BucketCannedACLPublicRead})
	a.same("public-read", get(), sorted(owner, allUsers+" READ"))
	a.may("alice", a.other, "acl/object", false, false, true)
	a.may("nobody", a.nobody, "acl/object", false, false, true)

	set(&s3.PutBucketAclInput{ACL: types.BucketCannedACLPublicReadWrite})
	a.may("nobody", a.nobody, "acl/object", false, true, true)

	set(&s3.PutBucketAclInput{ACL: types.BucketCannedACLAuthenticatedRead})
	a.same("authenticated-read", get(), sorted(owner, authenticatedUsers+" READ"))
	a.may("alice", a.other, "acl/object", false, false, true)
	a.may("nobody", a.nobody, "acl/object", false, false, false)

	set(&s3.PutBucketAclInput{GrantWrite: aws.String("emailAddress=\"alice@example.com\""), GrantRead: aws.String("id=" + alice), GrantFullControl: aws.String("id=" + root)})
	a.same("grant headers", get(), sorted(owner, alice+" READ", alice+" WRITE"))
	a.may("alice", a.other, "acl/object", false, true, true)

	policy := &types.AccessControlPolicy{Owner: &types.Owner{ID: &root}, Grants: []types.Grant{
		{Grantee: &types.Grantee{Type: types.TypeCanonicalUser, ID: &alice}, Permission: types.PermissionReadAcp},
		{Grantee: &types.Grantee{Type: types.TypeCanonicalUser, ID: &root}, Permission: types.PermissionFullControl},
	}}
	set(&s3.PutBucketAclInput{AccessControlPolicy: policy})
	a.same("document", get(), sorted(owner, alice+" READ_ACP"))
	_, err := a.other.GetBucketAcl(a.ctx, &s3.GetBucketAclInput{Bucket: a.bucket})
	a.ok(err)
	_, err = a.other.PutBucketAcl(a.ctx, &s3.PutBucketAclInput{Bucket: a.bucket, ACL: types.BucketCannedACLPublicRead})
	a.want("AccessDenied", err)
	_, err = a.s3.PutBucketAcl(a.ctx, &s3.PutBucketAclInput{Bucket: a.bucket, GrantRead: aws.String(`emailAddress="nobody@example.com"`)})
	a.want("UnresolvableGrantByEmailAddress", err)
	set(&s3.PutBucketAclInput{ACL: types.BucketCannedACLPrivate})
	a.same("private", get(), []string{owner})
}

func sorted(s ...string) []string {
	slices.Sort(s)
	return s
}

func (a *awsRun) objectACL() {
	root, alice := a.canonicalID(a.s3), a.canonicalID(a.other)
	key := aws.String("acl/granted")
	b := content(20, 70_000)
	owner := root + " FULL_CONTROL"
	get := func() []string {
		out, err := a.s3.GetObjectAcl(a.ctx, &s3.GetObjectAclInput{Bucket: a.bucket, Key: key})
		a.ok(err)
		return grants(out.Grants)
	}
	a.put(*key, b, func(in *s3.PutObjectInput) { in.ACL = types.ObjectCannedACLPublicRead })
	a.same("put as public-read", get(), sorted(owner, allUsers+" READ"))
	out, err := a.nobody.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: key})
	a.ok(err)
	got, err := io.ReadAll(out.Body)
	a.ok(err)
	a.sameBytes("anonymous read", got, b)
	out.Body.Close()
	_, err = a.nobody.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: key, ResponseContentType: aws.String("text/html")})
	a.want("InvalidRequest", err)
	_, err = a.nobody.GetObject(a.ctx, &s3.GetObjectInput{Bucket: a.bucket, Key: aws.String("acl/absent")})
	a.want("AccessDenied", err) // who may not list is not told what is there

	_, err = a.s3.PutObjectAcl(a.ctx, &s3.PutObjectAclInput{Bucket: a.bucket, Key: key, ACL: types.ObjectCannedACLPrivate})
	a.ok(err)
	a.may("nobody", a.nobody, *key, false, false, false)
	_, err = a.s3.PutObjectAcl(a.ctx, &s3.PutObjectAclInput{Bucket: a.bucket, Key: key, GrantRead: aws.String("id=" + alice), GrantFullControl: aws.String("id=" + root)})
	a.ok(err)
	a.same("granted", get(), sorted(owner, alice+" READ"))
	a.may("alice", a.other, *key, true, false, false)
	_, err = a.other.GetObjectAcl(a.ctx, &s3.GetObjectAclInput{Bucket: a.bucket, Key: key})
	a.want("AccessDenied", err)
	_, err = a.s3.PutObjectAcl(a.ctx, &s3.PutObjectAclInput{Bucket: a.bucket, Key: key, AccessControlPolicy: &types.AccessControlPolicy{
		Owner: &types.Owner{ID: &root}, Grants: []types.Grant{{Grantee: &types.Grantee{Type: types.TypeCanonicalUser, ID: &alice}, Permission: types.PermissionFullControl}},
	}})
	a.ok(err)
	_, err = a.other.GetObjectAcl(a.ctx, &s3.GetObjectAclInput{Bucket: a.bucket, Key: key})
	a.ok(err)
	a.uploadedByOther(alice, root)
}

// uploadedByOther: who writes an object owns it, and the bucket's owner does not.
func (a *awsRun) uploadedByOther(alice, root string) {
	name := aws.String("acl-shared")
	_, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: name, ACL: types.BucketCannedACLPublicReadWrite})
	a.ok(err)
	for i, acl := range []types.ObjectCannedACL{"", types.ObjectCannedACLBucketOwnerRead, types.ObjectCannedACLBucketOwnerFullControl} {
		key := aws.String(fmt.Sprintf("by-alice-%d", i))
		_, err := a.other.PutObject(a.ctx, &s3.PutObjectInput{Bucket: name, Key: key, Body: strings.NewReader("hers"), ACL: acl})
		a.ok(err)
		out, err := a.other.GetObjectAcl(a.ctx, &s3.GetObjectAclInput{Bucket: name, Key: key})
		a.ok(err)
		want := []string{alice + " FULL_CONTROL"}
		if i > 0 {
			want = sorted(want[0], root+" "+[]string{"READ", "FULL_CONTROL"}[i-1])
		}
		a.same("acl of "+*key, grants(out.Grants), want)
		a.same("owner of "+*key, *out.Owner.ID, alice)
	}
	// A copy needs the source's permission as a read does.
	a.put("acl/secret", []byte("not hers"))
	_, err = a.other.CopyObject(a.ctx, &s3.CopyObjectInput{Bucket: name, Key: aws.String("stolen"), CopySource: aws.String(*a.bucket + "/acl/secret")})
	a.want("AccessDenied", err)
	_, err = a.other.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: name, Key: aws.String("stolen")})
	a.want("NotFound", err)
}
