package s3api

import (
	"encoding/xml"
	"fmt"

	"ironman/wal/event"
)

// bucketEncryption is the part of a bucket's document ENCRYPTION that a write needs.
// Documents were judged when they were stored; this reads what is there.
type bucketEncryption struct {
	Rules []struct {
		Default struct {
			Algorithm string `xml:"SSEAlgorithm"`
			KeyID     string `xml:"KMSMasterKeyID"`
		} `xml:"ApplyServerSideEncryptionByDefault"`
		BucketKey bool `xml:"BucketKeyEnabled"`
	} `xml:"Rule"`
}

// defaultSealing is how a bucket's objects are sealed whose request does not say. A
// bucket without a document leaves them plain.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-encryption.html
func (r *Request) defaultSealing() (*sealing, error) {
	if err := r.refuseKMSHeaders(); err != nil { // they would be without effect
		return nil, err
	}
	d, err := r.view.Document(r.bucket.Bucket, event.DocumentKind_DOCUMENT_KIND_ENCRYPTION)
	if err != nil || d == nil {
		return nil, err
	}
	var doc bucketEncryption
	// Fail closed: what cannot be read must not leave bytes plain.
	if err := xml.Unmarshal(d.Text, &doc); err != nil {
		return nil, fmt.Errorf("s3api: the encryption document of bucket %d cannot be read: %w", r.bucket.Bucket, err)
	}
	if len(doc.Rules) != 1 {
		return nil, fmt.Errorf("s3api: the encryption document of bucket %d has %d rules, not one", r.bucket.Bucket, len(doc.Rules))
	}
	rule := &doc.Rules[0]
	switch rule.Default.Algorithm {
	case "AES256":
		return r.server.newS3Sealing(), nil
	case "aws:kms":
		return r.server.newKMSSealing(rule.Default.KeyID, "", rule.BucketKey)
	case "": // only the bucket key is set: SSE-S3 is Amazon's default then
		return r.server.newS3Sealing(), nil
	}
	return nil, fmt.Errorf("s3api: the encryption document of bucket %d asks for %q", r.bucket.Bucket, rule.Default.Algorithm)
}
