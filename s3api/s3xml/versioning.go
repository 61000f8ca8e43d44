package s3xml

import "encoding/xml"

// VersioningConfiguration is the body of PutBucketVersioning and the answer of
// GetBucketVersioning; there Status is empty where it was never set.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html
type VersioningConfiguration struct {
	XMLName   xml.Name `xml:"VersioningConfiguration"`
	Status    string   `xml:"Status,omitempty"`
	MFADelete string   `xml:"MfaDelete,omitempty"`
}

// Validate checks the enumerations.
func (c *VersioningConfiguration) Validate() error {
	switch c.Status {
	case "Enabled", "Suspended":
	case "":
		return &Error{
			Code:    "IllegalVersioningConfigurationException",
			Message: "The Versioning element must be specified",
		}
	default:
		return malformed("Status")
	}
	switch c.MFADelete {
	case "", "Enabled", "Disabled":
		return nil
	}
	return malformed("MfaDelete")
}

// AppendXML appends the root element.
func (c *VersioningConfiguration) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "VersioningConfiguration")
	dst = appendSome(dst, "Status", c.Status)
	return shut(appendSome(dst, "MfaDelete", c.MFADelete), "VersioningConfiguration")
}
