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
	action string // the IAM action that is authorised
	needs  need
	handle handler
}

// operations is the S3 surface: the router, the authoriser, metrics and the
// support matrix are made from it. For one method and target the first row whose
// query key and header are there is taken, so special rows stand before general ones.
func operations() []operation {
	return []operation{
		{"ListBuckets", "GET", onService, "", "", "s3:ListAllMyBuckets", needNothing, (*Server).listBuckets},

		{"GetBucketLocation", "GET", onBucket, "location", "", "s3:GetBucketLocation", needBucket, (*Server).getBucketLocation},
		{"GetBucketAcl", "GET", onBucket, "acl", "", "s3:GetBucketAcl", needBucket, (*Server).getBucketACL},
		{"GetBucketVersioning", "GET", onBucket, "versioning", "", "s3:GetBucketVersioning", needBucket, (*Server).getBucketVersioning},
		{"GetBucketPolicy", "GET", onBucket, "policy", "", "s3:GetBucketPolicy", needBucket, (*Server).getBucketPolicy},
		{"GetBucketPolicyStatus", "GET", onBucket, "policyStatus", "", "s3:GetBucketPolicyStatus", needBucket, (*Server).getBucketPolicyStatus},
		{"ListMultipartUploads", "GET", onBucket, "uploads", "", "s3:ListBucketMultipartUploads", needBucket, (*Server).listMultipartUploads},
		{"ListObjectVersions", "GET", onBucket, "versions", "", "s3:ListBucketVersions", needBucket, (*Server).listObjectVersions},
		{"ListObjectsV2", "GET", onBucket, "list-type", "", "s3:ListBucket", needBucket, (*Server).listObjectsV2},
		{"ListObjects", "GET", onBucket, "", "", "s3:ListBucket", needBucket, (*Server).listObjects},
		{"HeadBucket", "HEAD", onBucket, "", "", "s3:ListBucket", needBucket, (*Server).headBucket},
		{"PutBucketAcl", "PUT", onBucket, "acl", "", "s3:PutBucketAcl", needBucket, (*Server).putBucketACL},
		{"PutBucketPolicy", "PUT", onBucket, "policy", "", "s3:PutBucketPolicy", needBucket, (*Server).putBucketPolicy},
		{"CreateBucket", "PUT", onBucket, "", "", "s3:CreateBucket", needNothing, (*Server).createBucket},
		{"DeleteBucketPolicy", "DELETE", onBucket, "policy", "", "s3:DeleteBucketPolicy", needBucket, (*Server).deleteBucketPolicy},
		{"DeleteBucket", "DELETE", onBucket, "", "", "s3:DeleteBucket", needBucket, (*Server).deleteBucket},
		{"DeleteObjects", "POST", onBucket, "delete", "", "s3:DeleteObject", needBucket, (*Server).deleteObjects},

		{"GetObjectAcl", "GET", onObject, "acl", "", "s3:GetObjectAcl", needObject, (*Server).getObjectACL},
		{"ListParts", "GET", onObject, "uploadId", "", "s3:ListMultipartUploadParts", needBucket, (*Server).listParts},
		{"GetObject", "GET", onObject, "", "", "s3:GetObject", needObject, (*Server).getObject},
		{"HeadObject", "HEAD", onObject, "", "", "s3:GetObject", needObject, (*Server).headObject},
		{"PutObjectAcl", "PUT", onObject, "acl", "", "s3:PutObjectAcl", needObject, (*Server).putObjectACL},
		{"UploadPartCopy", "PUT", onObject, "uploadId", "X-Amz-Copy-Source", "s3:PutObject", needBucket, (*Server).uploadPartCopy},
		{"UploadPart", "PUT", onObject, "uploadId", "", "s3:PutObject", needBucket, (*Server).uploadPart},
		{"CopyObject", "PUT", onObject, "", "X-Amz-Copy-Source", "s3:PutObject", needBucket, (*Server).copyObject},
		{"PutObject", "PUT", onObject, "", "", "s3:PutObject", needBucket, (*Server).putObject},
		{"AbortMultipartUpload", "DELETE", onObject, "uploadId", "", "s3:AbortMultipartUpload", needBucket, (*Server).abortMultipartUpload},
		{"DeleteObject", "DELETE", onObject, "", "", "s3:DeleteObject", needBucket, (*Server).deleteObject},
		{"CreateMultipartUpload", "POST", onObject, "uploads", "", "s3:PutObject", needBucket, (*Server).createMultipartUpload},
		{"CompleteMultipartUpload", "POST", onObject, "uploadId", "", "s3:PutObject", needBucket, (*Server).completeMultipartUpload},
	}
}

// notImplemented are the query keys of operations that are not served, by Amazon's API
// reference: a request that has one is refused, never taken for the plain operation of
// its path.
func notImplemented(on target) []string {
	if on == onObject {
		return []string{
			"annotation", "annotations", "attributes", "encryption", "legal-hold", "renameObject", "restore", "retention",
			"select", "tagging", "torrent",
		}
	}
	return []string{
		"abac", "accelerate", "analytics", "cors", "encryption", "intelligent-tiering", "inventory", "lifecycle",
		"logging", "metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable",
		"metadataTable", "metrics", "notification", "object-lock", "ownershipControls",
		"publicAccessBlock", "replication", "requestPayment", "session", "tagging", "website",
	}
}
