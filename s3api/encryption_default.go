package s3api

import (
	"encoding/xml"
	"fmt"
	"slices"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// bucketEncryption is the part of a bucket's document ENCRYPTION that a write needs.
// Documents were judged when they were stored; this reads what is there.
type bucketEncryption struct {
	Rules []encryptionRule `xml:"Rule"`
}

type encryptionRule struct {
	Default struct {
		Algorithm string `xml:"SSEAlgorithm"`
		KeyID     string `xml:"KMSMasterKeyID"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKey bool     `xml:"BucketKeyEnabled"`
	Blocked   []string `xml:"BlockedEncryptionTypes>EncryptionType"`
}

// encryptionRule is the one rule of the bucket's document; nil if there is no document.
func (r *Request) encryptionRule() (*encryptionRule, error) {
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
	return &doc.Rules[0], nil
}

// refuseBlocked refuses a client's key in a bucket that does not take any.
func (r *Request) refuseBlocked() error {
	rule, err := r.encryptionRule()
	if err != nil || rule == nil || !slices.Contains(rule.Blocked, s3xml.EncryptionTypeSSEC) {
		return err
	}
	return s3err.Newf("AccessDenied", "This bucket does not accept objects that are encrypted with customer-provided keys (SSE-C).")
}

// defaultSealing is how a bucket's objects are sealed whose request does not say. A
// bucket without a document leaves them plain.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-encryption.html
func (r *Request) defaultSealing() (*sealing, error) {
	if err := r.refuseKMSHeaders(); err != nil { // they would be without effect
		return nil, err
	}
	rule, err := r.encryptionRule()
	if err != nil || rule == nil {
		return nil, err
	}
	switch rule.Default.Algorithm {
	case "AES256":
		return r.server.newS3Sealing(), nil
	case "aws:kms":
		return r.server.newKMSSealing(rule.Default.KeyID, "", rule.BucketKey)
	}
	return nil, fmt.Errorf("s3api: the encryption document of bucket %d asks for %q", r.bucket.Bucket, rule.Default.Algorithm)
}
