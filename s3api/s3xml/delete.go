package s3xml

import "encoding/xml"

// MaxDeleteObjects is how many objects one Delete may name.
const MaxDeleteObjects = 1000

// Delete is the body of DeleteObjects.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
type Delete struct {
	XMLName xml.Name           `xml:"Delete"`
	Objects []ObjectIdentifier `xml:"Object" s3:"required"`
	Quiet   bool               `xml:"Quiet"`
}

// ObjectIdentifier names an object to delete, and the conditions on it.
type ObjectIdentifier struct {
	Key              string    `xml:"Key" s3:"required"`
	VersionID        string    `xml:"VersionId,omitempty"`
	ETag             *ETag     `xml:"ETag"`
	LastModifiedTime *HTTPTime `xml:"LastModifiedTime"`
	Size             *int64    `xml:"Size"`
}

// Validate checks what the schema bounds.
func (d *Delete) Validate() error {
	if len(d.Objects) > MaxDeleteObjects {
		return malformed("more than 1000 objects")
	}
	for i := range d.Objects {
		if d.Objects[i].Key == "" {
			return malformed("empty key")
		}
	}
	return nil
}

// DeleteResult answers DeleteObjects.
type DeleteResult struct {
	Deleted []DeletedObject `xml:"Deleted"`
	Errors  []DeleteError   `xml:"Error"`
}

// DeletedObject is a success.
type DeletedObject struct {
	Key                   string `xml:"Key"`
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          bool   `xml:"DeleteMarker,omitempty"`
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

// DeleteError is a failure.
type DeleteError struct {
	Key       string `xml:"Key"`
	VersionID string `xml:"VersionId,omitempty"`
	Code      string `xml:"Code"`
	Message   string `xml:"Message"`
}

// AppendXML appends the root element.
func (r *DeleteResult) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "DeleteResult")
	for i := range r.Deleted {
		d := &r.Deleted[i]
		dst = appendString(open(dst, "Deleted"), "Key", d.Key)
		dst = appendSome(dst, "VersionId", d.VersionID)
		if d.DeleteMarker {
			dst = appendBool(dst, "DeleteMarker", true)
		}
		dst = shut(appendSome(dst, "DeleteMarkerVersionId", d.DeleteMarkerVersionID), "Deleted")
	}
	for i := range r.Errors {
		e := &r.Errors[i]
		dst = appendString(open(dst, "Error"), "Key", e.Key)
		dst = appendSome(dst, "VersionId", e.VersionID)
		dst = appendString(dst, "Code", e.Code)
		dst = shut(appendString(dst, "Message", e.Message), "Error")
	}
	return shut(dst, "DeleteResult")
}
