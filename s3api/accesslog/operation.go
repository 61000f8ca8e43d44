package accesslog

// The operations that are no requests of their own.
const (
	BatchDelete  = "BATCH.DELETE.OBJECT"
	BatchPut     = "BATCH.PUT.OBJECT"
	BatchCopy    = "BATCH.COPY.OBJECT"
	CopySource   = "REST.COPY.OBJECT_GET"
	CopyPartFrom = "REST.COPY.PART_GET"
)

// Operation names an operation as logs do, by its name in the API Reference and the
// method that was used. An operation that was never known is named by what it was to be
// done to.
func Operation(name, method string, onObject bool) string {
	switch name {
	case "CopyObject":
		return "REST.COPY.OBJECT"
	case "UploadPartCopy":
		return "REST.COPY.PART"
	case "WebsiteGet":
		return "WEBSITE." + method + ".OBJECT"
	}
	resource := resourceOf(name)
	if resource == "" {
		resource = "BUCKET"
		if onObject {
			resource = "OBJECT"
		}
	}
	return "REST." + method + "." + resource
}

// Named reports whether an operation has a name of its own in logs. Tests of whoever has
// operations ask it.
func Named(name string) bool {
	switch name {
	case "CopyObject", "UploadPartCopy", "WebsiteGet":
		return true
	}
	return resourceOf(name) != ""
}

// resourceOf is the last part of an operation's name, where it does not depend on the path
// alone. Of those that Amazon keeps no access logs for, it is made up alike.
func resourceOf(name string) string {
	switch name {
	case "ListObjects", "ListObjectsV2", "HeadBucket", "CreateBucket", "DeleteBucket", "ListBuckets":
		return "BUCKET"
	case "ListObjectVersions":
		return "BUCKETVERSIONS"
	case "GetObject", "HeadObject", "PutObject", "DeleteObject", "PostObject":
		return "OBJECT"
	case "DeleteObjects":
		return "MULTI_OBJECT_DELETE"
	case "CommitTransaction":
		return "TRANSACTION"
	case "GetObjectAttributes":
		return "OBJECT_ATTRIBUTES"
	case "GetObjectTorrent":
		return "TORRENT"
	case "RenameObject":
		return "RENAME"
	case "RestoreObject":
		return "RESTORE"
	case "SelectObjectContent":
		return "SELECT"
	case "CreateMultipartUpload", "ListMultipartUploads":
		return "UPLOADS"
	case "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts":
		return "UPLOAD"
	case "UploadPart":
		return "PART"
	case "GetBucketFeed":
		return "FEED"
	case "GetBucketFeedCursor", "PutBucketFeedCursor", "DeleteBucketFeedCursor":
		return "FEED_CURSOR"
	case "PreflightBucket", "PreflightObject":
		return "PREFLIGHT"
	}
	return documentOf(name)
}

// documentOf is that of operations on what stands beside a bucket or an object.
func documentOf(name string) string {
	switch name {
	case "GetBucketAcl", "PutBucketAcl", "GetObjectAcl", "PutObjectAcl":
		return "ACL"
	case "GetBucketCors", "PutBucketCors", "DeleteBucketCors":
		return "CORS"
	case "GetBucketTagging", "PutBucketTagging", "DeleteBucketTagging":
		return "TAGGING"
	case "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging":
		return "OBJECT_TAGGING"
	case "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle":
		return "LIFECYCLE"
	case "GetBucketEncryption", "PutBucketEncryption", "DeleteBucketEncryption":
		return "ENCRYPTION"
	case "GetBucketOwnershipControls", "PutBucketOwnershipControls", "DeleteBucketOwnershipControls":
		return "OWNERSHIP_CONTROLS"
	case "GetPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock":
		return "PUBLIC_ACCESS_BLOCK"
	case "GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite":
		return "WEBSITE"
	case "GetBucketNotificationConfiguration", "PutBucketNotificationConfiguration":
		return "NOTIFICATION"
	case "GetBucketLogging", "PutBucketLogging":
		return "LOGGING_STATUS"
	case "GetBucketRequestPayment", "PutBucketRequestPayment":
		return "REQUEST_PAYMENT"
	case "GetBucketReplication", "PutBucketReplication", "DeleteBucketReplication":
		return "REPLICATION"
	case "GetBucketLocation":
		return "LOCATION"
	case "GetBucketVersioning", "PutBucketVersioning":
		return "VERSIONING"
	case "GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy":
		return "BUCKETPOLICY"
	case "GetBucketPolicyStatus":
		return "POLICY_STATUS"
	case "GetObjectLockConfiguration", "PutObjectLockConfiguration":
		return "OBJECT_LOCK_CONFIGURATION"
	case "GetObjectRetention", "PutObjectRetention":
		return "OBJECT_LOCK_RETENTION"
	case "GetObjectLegalHold", "PutObjectLegalHold":
		return "OBJECT_LOCK_LEGALHOLD"
	}
	return ""
}
