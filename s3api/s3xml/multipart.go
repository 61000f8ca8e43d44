package s3xml

import "encoding/xml"

// MaxParts is how many parts an upload may have.
const MaxParts = 10_000

// InitiateMultipartUploadResult answers CreateMultipartUpload.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
type InitiateMultipartUploadResult struct {
	Bucket   string `xml:"Bucket"`
	Key      string `xml:"Key"`
	UploadID string `xml:"UploadId"`
}

// AppendXML appends the root element.
func (r *InitiateMultipartUploadResult) AppendXML(dst []byte) []byte {
	dst = appendString(openRoot(dst, "InitiateMultipartUploadResult"), "Bucket", r.Bucket)
	dst = appendString(dst, "Key", r.Key)
	return shut(appendString(dst, "UploadId", r.UploadID), "InitiateMultipartUploadResult")
}

// CompleteMultipartUpload is the body of CompleteMultipartUpload. Order and range
// of the part numbers are for the operation to judge, by its own errors.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
type CompleteMultipartUpload struct {
	XMLName xml.Name        `xml:"CompleteMultipartUpload"`
	Parts   []CompletedPart `xml:"Part" s3:"required"`
}

// CompletedPart names a part and what the client believes it to be.
type CompletedPart struct {
	PartNumber int  `xml:"PartNumber" s3:"required"`
	ETag       ETag `xml:"ETag" s3:"required"`
	Checksums
}

// Validate checks what the schema bounds.
func (c *CompleteMultipartUpload) Validate() error {
	if len(c.Parts) > MaxParts {
		return malformed("more than 10000 parts")
	}
	return nil
}

// CompleteMultipartUploadResult answers CompleteMultipartUpload.
type CompleteMultipartUploadResult struct {
	Location     string `xml:"Location"`
	Bucket       string `xml:"Bucket"`
	Key          string `xml:"Key"`
	ETag         ETag   `xml:"ETag"`
	ChecksumType string `xml:"ChecksumType,omitempty"`
	Checksums
}

// AppendXML appends the root element.
func (r *CompleteMultipartUploadResult) AppendXML(dst []byte) []byte {
	dst = appendString(openRoot(dst, "CompleteMultipartUploadResult"), "Location", r.Location)
	dst = appendString(dst, "Bucket", r.Bucket)
	dst = appendString(dst, "Key", r.Key)
	dst = appendETag(dst, "ETag", r.ETag)
	dst = appendSome(dst, "ChecksumType", r.ChecksumType)
	return shut(r.Checksums.append(dst), "CompleteMultipartUploadResult")
}

// ListPartsResult answers ListParts.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
type ListPartsResult struct {
	Bucket               string `xml:"Bucket"`
	Key                  string `xml:"Key"`
	UploadID             string `xml:"UploadId"`
	Initiator            *Owner `xml:"Initiator"`
	Owner                *Owner `xml:"Owner"`
	StorageClass         string `xml:"StorageClass"`
	PartNumberMarker     int    `xml:"PartNumberMarker"`
	NextPartNumberMarker int    `xml:"NextPartNumberMarker"`
	MaxParts             int    `xml:"MaxParts"`
	IsTruncated          bool   `xml:"IsTruncated"`
	ChecksumAlgorithm    string `xml:"ChecksumAlgorithm,omitempty"`
	ChecksumType         string `xml:"ChecksumType,omitempty"`
	Parts                []Part `xml:"Part"`
}

// Part is one part of an upload.
type Part struct {
	PartNumber   int   `xml:"PartNumber"`
	LastModified Time  `xml:"LastModified"`
	ETag         ETag  `xml:"ETag"`
	Size         int64 `xml:"Size"`
	Checksums
}

// AppendXML appends the root element.
func (r *ListPartsResult) AppendXML(dst []byte) []byte {
	dst = appendString(openRoot(dst, "ListPartsResult"), "Bucket", r.Bucket)
	dst = appendString(dst, "Key", r.Key)
	dst = appendString(dst, "UploadId", r.UploadID)
	dst = r.Initiator.append(dst, "Initiator")
	dst = r.Owner.append(dst, "Owner")
	dst = appendString(dst, "StorageClass", r.StorageClass)
	dst = appendInt(dst, "PartNumberMarker", int64(r.PartNumberMarker))
	dst = appendInt(dst, "NextPartNumberMarker", int64(r.NextPartNumberMarker))
	dst = appendInt(dst, "MaxParts", int64(r.MaxParts))
	dst = appendBool(dst, "IsTruncated", r.IsTruncated)
	dst = appendSome(dst, "ChecksumAlgorithm", r.ChecksumAlgorithm)
	dst = appendSome(dst, "ChecksumType", r.ChecksumType)
	for i := range r.Parts {
		p := &r.Parts[i]
		dst = appendInt(open(dst, "Part"), "PartNumber", int64(p.PartNumber))
		dst = appendTime(dst, "LastModified", p.LastModified)
		dst = appendETag(dst, "ETag", p.ETag)
		dst = appendInt(dst, "Size", p.Size)
		dst = shut(p.Checksums.append(dst), "Part")
	}
	return shut(dst, "ListPartsResult")
}

// ListMultipartUploadsResult answers ListMultipartUploads. Keys, prefixes,
// delimiter and markers are raw: AppendXML encodes them if EncodingType asks for it.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
type ListMultipartUploadsResult struct {
	Bucket             string            `xml:"Bucket"`
	KeyMarker          string            `xml:"KeyMarker"`
	UploadIDMarker     string            `xml:"UploadIdMarker"`
	NextKeyMarker      string            `xml:"NextKeyMarker"`
	NextUploadIDMarker string            `xml:"NextUploadIdMarker"`
	Prefix             string            `xml:"Prefix"`
	Delimiter          string            `xml:"Delimiter,omitempty"`
	EncodingType       string            `xml:"EncodingType,omitempty"`
	MaxUploads         int               `xml:"MaxUploads"`
	IsTruncated        bool              `xml:"IsTruncated"`
	Uploads            []MultipartUpload `xml:"Upload"`
	CommonPrefixes     []CommonPrefix    `xml:"CommonPrefixes"`
}

// MultipartUpload is an upload in progress.
type MultipartUpload struct {
	Key               string `xml:"Key"`
	UploadID          string `xml:"UploadId"`
	Initiator         *Owner `xml:"Initiator"`
	Owner             *Owner `xml:"Owner"`
	StorageClass      string `xml:"StorageClass"`
	Initiated         Time   `xml:"Initiated"`
	ChecksumAlgorithm string `xml:"ChecksumAlgorithm,omitempty"`
	ChecksumType      string `xml:"ChecksumType,omitempty"`
}

// AppendXML appends the root element.
func (r *ListMultipartUploadsResult) AppendXML(dst []byte) []byte {
	e := r.EncodingType
	dst = appendString(openRoot(dst, "ListMultipartUploadsResult"), "Bucket", r.Bucket)
	dst = appendKey(dst, "KeyMarker", r.KeyMarker, e)
	dst = appendString(dst, "UploadIdMarker", r.UploadIDMarker)
	dst = appendKey(dst, "NextKeyMarker", r.NextKeyMarker, e)
	dst = appendString(dst, "NextUploadIdMarker", r.NextUploadIDMarker)
	dst = appendKey(dst, "Prefix", r.Prefix, e)
	dst = appendSomeKey(dst, "Delimiter", r.Delimiter, e)
	dst = appendSome(dst, "EncodingType", e)
	dst = appendInt(dst, "MaxUploads", int64(r.MaxUploads))
	dst = appendBool(dst, "IsTruncated", r.IsTruncated)
	for i := range r.Uploads {
		u := &r.Uploads[i]
		dst = appendKey(open(dst, "Upload"), "Key", u.Key, e)
		dst = appendString(dst, "UploadId", u.UploadID)
		dst = u.Initiator.append(dst, "Initiator")
		dst = u.Owner.append(dst, "Owner")
		dst = appendString(dst, "StorageClass", u.StorageClass)
		dst = appendTime(dst, "Initiated", u.Initiated)
		dst = appendSome(dst, "ChecksumAlgorithm", u.ChecksumAlgorithm)
		dst = shut(appendSome(dst, "ChecksumType", u.ChecksumType), "Upload")
	}
	return shut(appendPrefixes(dst, r.CommonPrefixes, e), "ListMultipartUploadsResult")
}
