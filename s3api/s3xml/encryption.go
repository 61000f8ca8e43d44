package s3xml

import "encoding/xml"

// The values of SSEAlgorithm that are served.
const (
	SSEAlgorithmAES256 = "AES256"
	SSEAlgorithmKMS    = "aws:kms"
)

// ServerSideEncryptionConfiguration is the body of PutBucketEncryption and the answer
// of GetBucketEncryption. It has exactly one rule.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html
type ServerSideEncryptionConfiguration struct {
	XMLName xml.Name         `xml:"ServerSideEncryptionConfiguration"`
	Rules   []EncryptionRule `xml:"Rule" s3:"required"`
}

// EncryptionRule says how an object is encrypted that does not say it itself.
type EncryptionRule struct {
	Default          EncryptionByDefault     `xml:"ApplyServerSideEncryptionByDefault" s3:"required"`
	Blocked          *BlockedEncryptionTypes `xml:"BlockedEncryptionTypes"`
	BucketKeyEnabled *bool                   `xml:"BucketKeyEnabled"`
}

// EncryptionByDefault names an algorithm and, for keys of a service, the key.
type EncryptionByDefault struct {
	SSEAlgorithm   string `xml:"SSEAlgorithm" s3:"required"`
	KMSMasterKeyID string `xml:"KMSMasterKeyID"`
}

// BlockedEncryptionTypes are those that a bucket refuses. None are blocked so far.
type BlockedEncryptionTypes struct {
	Types []string `xml:"EncryptionType"`
}

// maxKMSKeyID is the longest name of a key.
const maxKMSKeyID = 2048

// Validate checks the rule.
func (c *ServerSideEncryptionConfiguration) Validate() error {
	if len(c.Rules) != 1 {
		return malformed("not one rule")
	}
	r := &c.Rules[0]
	switch r.Default.SSEAlgorithm {
	case SSEAlgorithmAES256:
		if r.Default.KMSMasterKeyID != "" {
			return invalidArgument("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
		}
	case SSEAlgorithmKMS:
	case "aws:kms:dsse":
		return notImplemented("Encryption in two layers (aws:kms:dsse) is not implemented.")
	default:
		return malformed("SSEAlgorithm")
	}
	if len(r.Default.KMSMasterKeyID) > maxKMSKeyID {
		return malformed("KMSMasterKeyID")
	}
	if r.Blocked != nil {
		for _, t := range r.Blocked.Types {
			if t != "NONE" {
				return notImplemented("Blocking types of encryption is not implemented.")
			}
		}
	}
	return nil
}

// AppendXML appends the root element.
func (c *ServerSideEncryptionConfiguration) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "ServerSideEncryptionConfiguration")
	for i := range c.Rules {
		r := &c.Rules[i]
		dst = open(open(dst, "Rule"), "ApplyServerSideEncryptionByDefault")
		dst = appendString(dst, "SSEAlgorithm", r.Default.SSEAlgorithm)
		dst = shut(appendSome(dst, "KMSMasterKeyID", r.Default.KMSMasterKeyID), "ApplyServerSideEncryptionByDefault")
		dst = shut(appendBool(dst, "BucketKeyEnabled", r.BucketKeyEnabled != nil && *r.BucketKeyEnabled), "Rule")
	}
	return shut(dst, "ServerSideEncryptionConfiguration")
}
