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

// EncryptionRule says how an object is encrypted that does not say it itself. A rule that
// names no algorithm means AES256, as with Amazon; Validate writes that down.
type EncryptionRule struct {
	Default          *EncryptionByDefault    `xml:"ApplyServerSideEncryptionByDefault"`
	Blocked          *BlockedEncryptionTypes `xml:"BlockedEncryptionTypes"`
	BucketKeyEnabled *bool                   `xml:"BucketKeyEnabled"`
}

// EncryptionByDefault names an algorithm and, for keys of a service, the key.
type EncryptionByDefault struct {
	SSEAlgorithm   string `xml:"SSEAlgorithm" s3:"required"`
	KMSMasterKeyID string `xml:"KMSMasterKeyID"`
}

// EncryptionTypeSSEC names what a bucket can refuse: objects sealed with a key of the
// client's. The other value that Amazon knows, NONE, refuses nothing.
const EncryptionTypeSSEC = "SSE-C"

// BlockedEncryptionTypes are those that a bucket refuses.
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
	if r.Default == nil {
		if r.Blocked == nil && r.BucketKeyEnabled == nil {
			return malformed("an empty rule")
		}
		r.Default = &EncryptionByDefault{SSEAlgorithm: SSEAlgorithmAES256}
	}
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
	return r.Blocked.validate()
}

func (b *BlockedEncryptionTypes) validate() error {
	if b == nil {
		return nil
	}
	for _, t := range b.Types {
		if t != EncryptionTypeSSEC && t != "NONE" {
			return malformed("EncryptionType")
		}
	}
	if len(b.Types) != 1 { // NONE stands alone, and there is no third
		return malformed("not one EncryptionType")
	}
	return nil
}

// AppendXML appends the root element.
func (c *ServerSideEncryptionConfiguration) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "ServerSideEncryptionConfiguration")
	for i := range c.Rules {
		r := &c.Rules[i]
		dst = open(dst, "Rule")
		if d := r.Default; d != nil {
			dst = appendString(open(dst, "ApplyServerSideEncryptionByDefault"), "SSEAlgorithm", d.SSEAlgorithm)
			dst = shut(appendSome(dst, "KMSMasterKeyID", d.KMSMasterKeyID), "ApplyServerSideEncryptionByDefault")
		}
		if b := r.Blocked; b != nil {
			dst = open(dst, "BlockedEncryptionTypes")
			for _, t := range b.Types {
				dst = appendString(dst, "EncryptionType", t)
			}
			dst = shut(dst, "BlockedEncryptionTypes")
		}
		dst = shut(appendBool(dst, "BucketKeyEnabled", r.BucketKeyEnabled != nil && *r.BucketKeyEnabled), "Rule")
	}
	return shut(dst, "ServerSideEncryptionConfiguration")
}
