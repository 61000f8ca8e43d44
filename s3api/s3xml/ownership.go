package s3xml

import "encoding/xml"

// The values of ObjectOwnership.
const (
	BucketOwnerEnforced  = "BucketOwnerEnforced"
	BucketOwnerPreferred = "BucketOwnerPreferred"
	ObjectWriter         = "ObjectWriter"
)

// OwnershipControls is the body of PutBucketOwnershipControls and the answer of
// GetBucketOwnershipControls. It has exactly one rule.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html
type OwnershipControls struct {
	XMLName xml.Name        `xml:"OwnershipControls"`
	Rules   []OwnershipRule `xml:"Rule" s3:"required"`
}

// OwnershipRule says whose objects are that others put.
type OwnershipRule struct {
	ObjectOwnership string `xml:"ObjectOwnership" s3:"required"`
}

// Ownership makes the document of a bucket whose objects are owned so.
func Ownership(objectOwnership string) *OwnershipControls {
	return &OwnershipControls{Rules: []OwnershipRule{{objectOwnership}}}
}

// Validate checks the rule.
func (c *OwnershipControls) Validate() error {
	if len(c.Rules) != 1 {
		return malformed("not one rule")
	}
	if !ValidOwnership(c.Rules[0].ObjectOwnership) {
		return malformed("ObjectOwnership")
	}
	return nil
}

// ValidOwnership tells the values of ObjectOwnership.
func ValidOwnership(v string) bool {
	return v == BucketOwnerEnforced || v == BucketOwnerPreferred || v == ObjectWriter
}

// AppendXML appends the root element.
func (c *OwnershipControls) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "OwnershipControls")
	for i := range c.Rules {
		dst = shut(appendString(open(dst, "Rule"), "ObjectOwnership", c.Rules[i].ObjectOwnership), "Rule")
	}
	return shut(dst, "OwnershipControls")
}

// PublicAccessBlock is the body of PutPublicAccessBlock and the answer of
// GetPublicAccessBlock. What it does not name is false.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html
type PublicAccessBlock struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	BlockPublicACLs       bool     `xml:"BlockPublicAcls"`
	IgnorePublicACLs      bool     `xml:"IgnorePublicAcls"`
	BlockPublicPolicy     bool     `xml:"BlockPublicPolicy"`
	RestrictPublicBuckets bool     `xml:"RestrictPublicBuckets"`
}

// AppendXML appends the root element.
func (b *PublicAccessBlock) AppendXML(dst []byte) []byte {
	dst = appendBool(openRoot(dst, "PublicAccessBlockConfiguration"), "BlockPublicAcls", b.BlockPublicACLs)
	dst = appendBool(dst, "IgnorePublicAcls", b.IgnorePublicACLs)
	dst = appendBool(dst, "BlockPublicPolicy", b.BlockPublicPolicy)
	return shut(appendBool(dst, "RestrictPublicBuckets", b.RestrictPublicBuckets), "PublicAccessBlockConfiguration")
}

// The values of Payer.
const (
	PayerBucketOwner = "BucketOwner"
	PayerRequester   = "Requester"
)

// RequestPaymentConfiguration is the body of PutBucketRequestPayment and the answer of
// GetBucketRequestPayment.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html
type RequestPaymentConfiguration struct {
	XMLName xml.Name `xml:"RequestPaymentConfiguration"`
	Payer   string   `xml:"Payer" s3:"required"`
}

// Validate checks the enumeration.
func (c *RequestPaymentConfiguration) Validate() error {
	if c.Payer != PayerBucketOwner && c.Payer != PayerRequester {
		return malformed("Payer")
	}
	return nil
}

// AppendXML appends the root element.
func (c *RequestPaymentConfiguration) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "RequestPaymentConfiguration")
	return shut(appendString(dst, "Payer", c.Payer), "RequestPaymentConfiguration")
}
