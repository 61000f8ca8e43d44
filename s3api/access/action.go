package access

import (
	"sort"

	"ironman/wal/event"
)

// scope is whose access control list is asked.
type scope uint8

const (
	onService scope = iota // none: open to every account
	onBucket
	onObject
)

// owners says who needs no grant.
type owners uint8

const (
	bucketOwner owners = 1 << iota
	objectOwner
	// uploader is the initiator of a multipart upload, and its account.
	uploader
)

// rule says what allows an action besides a policy. No permission: no grant of an
// access control list does.
type rule struct {
	action string
	scope  scope
	grant  event.Permission
	owners owners
}

const (
	read     = event.Permission_PERMISSION_READ
	write    = event.Permission_PERMISSION_WRITE
	readACP  = event.Permission_PERMISSION_READ_ACP
	writeACP = event.Permission_PERMISSION_WRITE_ACP
	none     = event.Permission_PERMISSION_UNSPECIFIED
)

// find looks an action up.
func find(action string) (rule, bool) {
	i := sort.Search(len(rules), func(i int) bool { return rules[i].action >= action })
	if i == len(rules) || rules[i].action != action {
		return rule{}, false
	}
	return rules[i], true
}

// Known reports whether the table has the action. Tests of whoever names actions ask it.
func Known(action string) bool {
	_, ok := find(action)
	return ok
}

// rules holds every action in byte order; it is never written. The grants are those
// of Amazon's mapping of ACL permissions to actions; what that mapping does not name
// is the owner's, and others' only by policy.
//
// Who writes or deletes in a bucket needs the bucket, whoever owns the object; who
// reads an object or its ACL needs the object, whoever owns the bucket. Deleting a
// version is the bucket owner's alone. Locks are kept by the bucket's owner, or an
// object's could fill the bucket with what nobody may delete.
var rules = [...]rule{
	{"s3:AbortMultipartUpload", onBucket, none, bucketOwner | uploader},
	{"s3:BypassGovernanceRetention", onBucket, none, bucketOwner},
	{"s3:CreateBucket", onService, none, 0},
	{"s3:DeleteBucket", onBucket, none, bucketOwner},
	{"s3:DeleteBucketPolicy", onBucket, none, bucketOwner},
	{"s3:DeleteBucketWebsite", onBucket, none, bucketOwner},
	{"s3:DeleteObject", onBucket, write, bucketOwner},
	{"s3:DeleteObjectTagging", onObject, none, bucketOwner | objectOwner},
	{"s3:DeleteObjectVersion", onBucket, none, bucketOwner},
	{"s3:DeleteObjectVersionTagging", onObject, none, bucketOwner | objectOwner},
	{"s3:GetAccelerateConfiguration", onBucket, none, bucketOwner},
	{"s3:GetAnalyticsConfiguration", onBucket, none, bucketOwner},
	{"s3:GetBucketAcl", onBucket, readACP, bucketOwner},
	{"s3:GetBucketCORS", onBucket, none, bucketOwner},
	{"s3:GetBucketFeed", onBucket, none, bucketOwner},
	{"s3:GetBucketLocation", onBucket, none, bucketOwner},
	{"s3:GetBucketLogging", onBucket, none, bucketOwner},
	{"s3:GetBucketNotification", onBucket, none, bucketOwner},
	{"s3:GetBucketObjectLockConfiguration", onBucket, none, bucketOwner},
	{"s3:GetBucketOwnershipControls", onBucket, none, bucketOwner},
	{"s3:GetBucketPolicy", onBucket, none, bucketOwner},
	{"s3:GetBucketPolicyStatus", onBucket, none, bucketOwner},
	{"s3:GetBucketPublicAccessBlock", onBucket, none, bucketOwner},
	{"s3:GetBucketRequestPayment", onBucket, none, bucketOwner},
	{"s3:GetBucketTagging", onBucket, none, bucketOwner},
	{"s3:GetBucketVersioning", onBucket, none, bucketOwner},
	{"s3:GetBucketWebsite", onBucket, none, bucketOwner},
	{"s3:GetEncryptionConfiguration", onBucket, none, bucketOwner},
	{"s3:GetIntelligentTieringConfiguration", onBucket, none, bucketOwner},
	{"s3:GetInventoryConfiguration", onBucket, none, bucketOwner},
	{"s3:GetLifecycleConfiguration", onBucket, none, bucketOwner},
	{"s3:GetMetricsConfiguration", onBucket, none, bucketOwner},
	{"s3:GetObject", onObject, read, objectOwner},
	{"s3:GetObjectAcl", onObject, readACP, objectOwner},
	{"s3:GetObjectAttributes", onObject, none, objectOwner},
	{"s3:GetObjectLegalHold", onObject, none, bucketOwner | objectOwner},
	{"s3:GetObjectRetention", onObject, none, bucketOwner | objectOwner},
	{"s3:GetObjectTagging", onObject, none, bucketOwner | objectOwner},
	{"s3:GetObjectTorrent", onObject, read, objectOwner},
	{"s3:GetObjectVersion", onObject, read, objectOwner},
	{"s3:GetObjectVersionAcl", onObject, readACP, objectOwner},
	{"s3:GetObjectVersionAttributes", onObject, none, objectOwner},
	{"s3:GetObjectVersionTagging", onObject, none, bucketOwner | objectOwner},
	{"s3:GetObjectVersionTorrent", onObject, read, objectOwner},
	{"s3:GetReplicationConfiguration", onBucket, none, bucketOwner},
	{"s3:ListAllMyBuckets", onService, none, 0},
	{"s3:ListBucket", onBucket, read, bucketOwner},
	{"s3:ListBucketMultipartUploads", onBucket, read, bucketOwner},
	{"s3:ListBucketVersions", onBucket, read, bucketOwner},
	{"s3:ListMultipartUploadParts", onBucket, none, bucketOwner | uploader},
	{"s3:PutAccelerateConfiguration", onBucket, none, bucketOwner},
	{"s3:PutAnalyticsConfiguration", onBucket, none, bucketOwner},
	{"s3:PutBucketAcl", onBucket, writeACP, bucketOwner},
	{"s3:PutBucketCORS", onBucket, none, bucketOwner},
	{"s3:PutBucketFeedCursor", onBucket, none, bucketOwner},
	{"s3:PutBucketLogging", onBucket, none, bucketOwner},
	{"s3:PutBucketNotification", onBucket, none, bucketOwner},
	{"s3:PutBucketObjectLockConfiguration", onBucket, none, bucketOwner},
	{"s3:PutBucketOwnershipControls", onBucket, none, bucketOwner},
	{"s3:PutBucketPolicy", onBucket, none, bucketOwner},
	{"s3:PutBucketPublicAccessBlock", onBucket, none, bucketOwner},
	{"s3:PutBucketRequestPayment", onBucket, none, bucketOwner},
	{"s3:PutBucketTagging", onBucket, none, bucketOwner},
	{"s3:PutBucketVersioning", onBucket, none, bucketOwner},
	{"s3:PutBucketWebsite", onBucket, none, bucketOwner},
	{"s3:PutEncryptionConfiguration", onBucket, none, bucketOwner},
	{"s3:PutIntelligentTieringConfiguration", onBucket, none, bucketOwner},
	{"s3:PutInventoryConfiguration", onBucket, none, bucketOwner},
	{"s3:PutLifecycleConfiguration", onBucket, none, bucketOwner},
	{"s3:PutMetricsConfiguration", onBucket, none, bucketOwner},
	{"s3:PutObject", onBucket, write, bucketOwner},
	{"s3:PutObjectAcl", onObject, writeACP, objectOwner},
	{"s3:PutObjectLegalHold", onObject, none, bucketOwner},
	{"s3:PutObjectRetention", onObject, none, bucketOwner},
	{"s3:PutObjectTagging", onObject, none, bucketOwner | objectOwner},
	{"s3:PutObjectVersionAcl", onObject, writeACP, objectOwner},
	{"s3:PutObjectVersionTagging", onObject, none, bucketOwner | objectOwner},
	{"s3:PutReplicationConfiguration", onBucket, none, bucketOwner},
	{"s3:RestoreObject", onObject, none, bucketOwner},
	{"s3:TagResource", onBucket, none, bucketOwner},
}
