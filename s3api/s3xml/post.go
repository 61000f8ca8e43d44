package s3xml

// PostResponse answers a browser's upload that asked for status 201. Alone among all
// answers it has no namespace.
// https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
type PostResponse struct {
	Location string `xml:"Location"`
	Bucket   string `xml:"Bucket"`
	Key      string `xml:"Key"`
	ETag     ETag   `xml:"ETag"`
}

// AppendXML appends the root element.
func (r *PostResponse) AppendXML(dst []byte) []byte {
	dst = appendString(open(dst, "PostResponse"), "Location", r.Location)
	dst = appendString(dst, "Bucket", r.Bucket)
	dst = appendString(dst, "Key", r.Key)
	return shut(appendETag(dst, "ETag", r.ETag), "PostResponse")
}
