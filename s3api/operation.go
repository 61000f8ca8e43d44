package s3api

import "context"

// target is what a path names.
type target int

const (
	onService target = iota
	onBucket
	onObject
)

// need is what an operation wants to be there before its handler runs.
type need int

const (
	needNothing need = iota
	needBucket       // the bucket's row
	needObject       // the bucket's and the object's
	// needNobody is for preflights: they tell no more than a bucket's CORS rules say to
	// everybody, and are never signed. Whatever looks like credentials is not looked at.
	needNobody
)

// handler is one S3 operation. It writes nothing itself and never authorises.
type handler func(*Server, context.Context, *Request) (*Response, error)

// operation is a row of the operations table.
type operation struct {
	name   string // as Amazon's API reference has it
	method string
	on     target
	query  string // a query key that must be there; "": none
	header string // a header that must be there; "": none
	action string // the IAM action that is authorised; "": none, only with needNobody
	needs  need
	handle handler
}

// operations is the S3 surface: the router, the authoriser, metrics and the
// support matrix are made from it. For one method and target the first row whose
// query key and header are there is taken, so special rows stand before general ones.
func operations() []operation {
	return []operation{
		{"ListBuckets", "GET", onService, "", "", "s3:ListAllMyBuckets", needNothing, (*Server).listBuckets},

		{"GetBucketCors", "GET", onBucket, "cors", "", "s3:GetBucketCORS", needBucket, (*Server).getBucketCORS},
		{"PutBucketCors", "PUT", onBucket, "cors", "", "s3:PutBucketCORS", needBucket, (*Server).putBucketCORS},
		{"DeleteBucketCors", "DELETE", onBucket, "cors", "", "s3:PutBucketCORS", needBucket, (*Server).deleteBucketCORS},
		{"GetBucketTagging", "GET", onBucket, "tagging", "", "s3:GetBucketTagging", needBucket, (*Server).getBucketTagging},
		{"PutBucketTagging", "PUT", onBucket, "tagging", "", "s3:PutBucketTagging", needBucket, (*Server).putBucketTagging},
		{"DeleteBucketTagging", "DELETE", onBucket, "tagging", "", "s3:PutBucketTagging", needBucket, (*Server).deleteBucketTagging},
		{"GetBucketLifecycleConfiguration", "GET", onBucket, "lifecycle", "", "s3:GetLifecycleConfiguration", needBucket, (*Server).getBucketLifecycle},
		{"PutBucketLifecycleConfiguration", "PUT", onBucket, "lifecycle", "", "s3:PutLifecycleConfiguration", needBucket, (*Server).putBucketLifecycle},
		{"DeleteBucketLifecycle", "DELETE", onBucket, "lifecycle", "", "s3:PutLifecycleConfiguration", needBucket, (*Server).deleteBucketLifecycle},
		{"GetBucketEncryption", "GET", onBucket, "encryption", "", "s3:GetEncryptionConfiguration", needBucket, (*Server).getBucketEncryption},
		{"PutBucketEncryption", "PUT", onBucket, "encryption", "", "s3:PutEncryptionConfiguration", needBucket, (*Server).putBucketEncryption},
		{"DeleteBucketEncryption", "DELETE", onBucket, "encryption", "", "s3:PutEncryptionConfiguration", needBucket, (*Server).deleteBucketEncryption},
		{"GetBucketOwnershipControls", "GET", onBucket, "ownershipControls", "", "s3:GetBucketOwnershipControls", needBucket, (*Server).getBucketOwnershipControls},
		{"PutBucketOwnershipControls", "PUT", onBucket, "ownershipControls", "", "s3:PutBucketOwnershipControls", needBucket, (*Server).putBucketOwnershipControls},
		{"DeleteBucketOwnershipControls", "DELETE", onBucket, "ownershipControls", "", "s3:PutBucketOwnershipControls", needBucket, (*Server).deleteBucketOwnershipControls},
		{"GetPublicAccessBlock", "GET", onBucket, "publicAccessBlock", "", "s3:GetBucketPublicAccessBlock", needBucket, (*Server).getPublicAccessBlock},
		{"PutPublicAccessBlock", "PUT", onBucket, "publicAccessBlock", "", "s3:PutBucketPublicAccessBlock", needBucket, (*Server).putPublicAccessBlock},
		{"DeletePublicAccessBlock", "DELETE", onBucket, "publicAccessBlock", "", "s3:PutBucketPublicAccessBlock", needBucket, (*Server).deletePublicAccessBlock},
		{"GetBucketWebsite", "GET", onBucket, "website", "", "s3:GetBucketWebsite", needBucket, (*Server).getBucketWebsite},
		{"PutBucketWebsite", "PUT", onBucket, "website", "", "s3:PutBucketWebsite", needBucket, (*Server).putBucketWebsite},
		{"DeleteBucketWebsite", "DELETE", onBucket, "website", "", "s3:DeleteBucketWebsite", needBucket, (*Server).deleteBucketWebsite},
		{"GetBucketNotificationConfiguration", "GET", onBucket, "notification", "", "s3:GetBucketNotification", needBucket, (*Server).getBucketNotification},
		{"PutBucketNotificationConfiguration", "PUT", onBucket, "notification", "", "s3:PutBucketNotification", needBucket, (*Server).putBucketNotification},
		{"GetBucketLogging", "GET", onBucket, "logging", "", "s3:GetBucketLogging", needBucket, (*Server).getBucketLogging},
		{"PutBucketLogging", "PUT", onBucket, "logging", "", "s3:PutBucketLogging", needBucket, (*Server).putBucketLogging},
		{"GetBucketRequestPayment", "GET", onBucket, "requestPayment", "", "s3:GetBucketRequestPayment", needBucket, (*Server).getBucketRequestPayment},
		{"PutBucketRequestPayment", "PUT", onBucket, "requestPayment", "", "s3:PutBucketRequestPayment", needBucket, (*Server).putBucketRequestPayment},
		{"GetBucketReplication", "GET", onBucket, "replication", "", "s3:GetReplicationConfiguration", needBucket, (*Server).getBucketReplication},
		{"PutBucketReplication", "PUT", onBucket, "replication", "", "s3:PutReplicationConfiguration", needBucket, (*Server).putBucketReplication},
		{"DeleteBucketReplication", "DELETE", onBucket, "replication", "", "s3:PutReplicationConfiguration", needBucket, (*Server).deleteBucketReplication},
		{"PreflightBucket", "OPTIONS", onBucket, "", "", "", needNobody, (*Server).preflight},
		{"PreflightObject", "OPTIONS", onObject, "", "", "", needNobody, (*Server).preflight},

		{"GetBucketFeed", "GET", onBucket, "feed", "", "s3:GetBucketFeed", needBucket, (*Server).getBucketFeed},
		{"GetBucketFeedCursor", "GET", onBucket, "feedCursor", "", "s3:GetBucketFeed", needBucket, (*Server).getBucketFeedCursor},
		{"PutBucketFeedCursor", "PUT", onBucket, "feedCursor", "", "s3:PutBucketFeedCursor", needBucket, (*Server).putBucketFeedCursor},
		{"DeleteBucketFeedCursor", "DELETE", onBucket, "feedCursor", "", "s3:PutBucketFeedCursor", needBucket, (*Server).deleteBucketFeedCursor},
		{"GetBucketLocation", "GET", onBucket, "location", "", "s3:GetBucketLocation", needBucket, (*Server).getBucketLocation},
		{"GetBucketAcl", "GET", onBucket, "acl", "", "s3:GetBucketAcl", needBucket, (*Server).getBucketACL},
		{"GetBucketVersioning", "GET", onBucket, "versioning", "", "s3:GetBucketVersioning", needBucket, (*Server).getBucketVersioning},
		{"GetObjectLockConfiguration", "GET", onBucket, "object-lock", "", "s3:GetBucketObjectLockConfiguration", needBucket, (*Server).getObjectLockConfiguration},
		{"GetBucketPolicy", "GET", onBucket, "policy", "", "s3:GetBucketPolicy", needBucket, (*Server).getBucketPolicy},
		{"GetBucketPolicyStatus", "GET", onBucket, "policyStatus", "", "s3:GetBucketPolicyStatus", needBucket, (*Server).getBucketPolicyStatus},
		{"ListMultipartUploads", "GET", onBucket, "uploads", "", "s3:ListBucketMultipartUploads", needBucket, (*Server).listMultipartUploads},
		{"ListObjectVersions", "GET", onBucket, "versions", "", "s3:ListBucketVersions", needBucket, (*Server).listObjectVersions},
		{"ListObjectsV2", "GET", onBucket, "list-type", "", "s3:ListBucket", needBucket, (*Server).listObjectsV2},
		{"ListObjects", "GET", onBucket, "", "", "s3:ListBucket", needBucket, (*Server).listObjects},
		{"HeadBucket", "HEAD", onBucket, "", "", "s3:ListBucket", needBucket, (*Server).headBucket},
		{"PutBucketVersioning", "PUT", onBucket, "versioning", "", "s3:PutBucketVersioning", needBucket, (*Server).putBucketVersioning},
		{"PutObjectLockConfiguration", "PUT", onBucket, "object-lock", "", "s3:PutBucketObjectLockConfiguration", needBucket, (*Server).putObjectLockConfiguration},
		{"PutBucketAcl", "PUT", onBucket, "acl", "", "s3:PutBucketAcl", needBucket, (*Server).putBucketACL},
		{"PutBucketPolicy", "PUT", onBucket, "policy", "", "s3:PutBucketPolicy", needBucket, (*Server).putBucketPolicy},
		{"CreateBucket", "PUT", onBucket, "", "", "s3:CreateBucket", needNothing, (*Server).createBucket},
		{"DeleteBucketPolicy", "DELETE", onBucket, "policy", "", "s3:DeleteBucketPolicy", needBucket, (*Server).deleteBucketPolicy},
		{"DeleteBucket", "DELETE", onBucket, "", "", "s3:DeleteBucket", needBucket, (*Server).deleteBucket},
		{"DeleteObjects", "POST", onBucket, "delete", "", "s3:DeleteObject", needBucket, (*Server).deleteObjects},
		{transactionName, "POST", onBucket, "transaction", "", "s3:PutObject", needBucket, (*Server).commitTransaction},
		{"PostObject", "POST", onBucket, "", "", "s3:PutObject", needBucket, (*Server).postObject},

		{"GetObjectAcl", "GET", onObject, "acl", "", "s3:GetObjectAcl", needObject, (*Server).getObjectACL},
		{"GetObjectTagging", "GET", onObject, "tagging", "", "s3:GetObjectTagging", needObject, (*Server).getObjectTagging},
		{"GetObjectRetention", "GET", onObject, "retention", "", "s3:GetObjectRetention", needObject, (*Server).getObjectRetention},
		{"GetObjectLegalHold", "GET", onObject, "legal-hold", "", "s3:GetObjectLegalHold", needObject, (*Server).getObjectLegalHold},
		{"GetObjectAttributes", "GET", onObject, "attributes", "", "s3:GetObjectAttributes", needObject, (*Server).getObjectAttributes},
		{"GetObjectTorrent", "GET", onObject, "torrent", "", "s3:GetObjectTorrent", needObject, (*Server).getObjectTorrent},
		{"ListParts", "GET", onObject, "uploadId", "", "s3:ListMultipartUploadParts", needBucket, (*Server).listParts},
		{"GetObject", "GET", onObject, "", "", "s3:GetObject", needObject, (*Server).getObject},
		{"HeadObject", "HEAD", onObject, "", "", "s3:GetObject", needObject, (*Server).headObject},
		{"PutObjectAcl", "PUT", onObject, "acl", "", "s3:PutObjectAcl", needObject, (*Server).putObjectACL},
		{"PutObjectTagging", "PUT", onObject, "tagging", "", "s3:PutObjectTagging", needObject, (*Server).putObjectTagging},
		{"PutObjectRetention", "PUT", onObject, "retention", "", "s3:PutObjectRetention", needObject, (*Server).putObjectRetention},
		{"PutObjectLegalHold", "PUT", onObject, "legal-hold", "", "s3:PutObjectLegalHold", needObject, (*Server).putObjectLegalHold},
		{"RenameObject", "PUT", onObject, "renameObject", "X-Amz-Rename-Source", "s3:PutObject", needBucket, (*Server).renameObject},
		{"UploadPartCopy", "PUT", onObject, "uploadId", "X-Amz-Copy-Source", "s3:PutObject", needBucket, (*Server).uploadPartCopy},
		{"UploadPart", "PUT", onObject, "uploadId", "", "s3:PutObject", needBucket, (*Server).uploadPart},
		{"CopyObject", "PUT", onObject, "", "X-Amz-Copy-Source", "s3:PutObject", needBucket, (*Server).copyObject},
		{"PutObject", "PUT", onObject, "", "", "s3:PutObject", needBucket, (*Server).putObject},
		{"AbortMultipartUpload", "DELETE", onObject, "uploadId", "", "s3:AbortMultipartUpload", needBucket, (*Server).abortMultipartUpload},
		{"DeleteObjectTagging", "DELETE", onObject, "tagging", "", "s3:DeleteObjectTagging", needObject, (*Server).deleteObjectTagging},
		{"DeleteObject", "DELETE", onObject, "", "", "s3:DeleteObject", needBucket, (*Server).deleteObject},
		{"CreateMultipartUpload", "POST", onObject, "uploads", "", "s3:PutObject", needBucket, (*Server).createMultipartUpload},
		{"CompleteMultipartUpload", "POST", onObject, "uploadId", "", "s3:PutObject", needBucket, (*Server).completeMultipartUpload},
		{"RestoreObject", "POST", onObject, "restore", "", "s3:RestoreObject", needObject, (*Server).restoreObject},
		{"SelectObjectContent", "POST", onObject, "select", "", "s3:GetObject", needObject, (*Server).selectObjectContent},
	}
}

// notImplemented are the query keys of operations that are not served, by Amazon's API
// reference: a request that has one is refused, never taken for the plain operation of
// its path.
func notImplemented(on target) []string {
	if on == onObject {
		return []string{
			"annotation", "annotations", "encryption",
		}
	}
	return []string{
		"abac", "accelerate", "analytics", "intelligent-tiering", "inventory",
		"metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable",
		"metadataTable", "metrics", "session",
	}
}
