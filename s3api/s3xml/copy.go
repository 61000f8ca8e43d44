package s3xml

// CopyObjectResult answers CopyObject.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
type CopyObjectResult struct {
	ETag         ETag   `xml:"ETag"`
	LastModified Time   `xml:"LastModified"`
	ChecksumType string `xml:"ChecksumType,omitempty"`
	Checksums
}

// AppendXML appends the root element.
func (r *CopyObjectResult) AppendXML(dst []byte) []byte {
	dst = appendETag(openRoot(dst, "CopyObjectResult"), "ETag", r.ETag)
	dst = appendTime(dst, "LastModified", r.LastModified)
	dst = appendSome(dst, "ChecksumType", r.ChecksumType)
	return shut(r.Checksums.append(dst), "CopyObjectResult")
}

// CopyPartResult answers UploadPartCopy.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
type CopyPartResult struct {
	ETag         ETag `xml:"ETag"`
	LastModified Time `xml:"LastModified"`
	Checksums
}

// AppendXML appends the root element.
func (r *CopyPartResult) AppendXML(dst []byte) []byte {
	dst = appendETag(openRoot(dst, "CopyPartResult"), "ETag", r.ETag)
	dst = appendTime(dst, "LastModified", r.LastModified)
	return shut(r.Checksums.append(dst), "CopyPartResult")
}
