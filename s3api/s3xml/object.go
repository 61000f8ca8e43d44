package s3xml

// GetObjectAttributesResponse answers GetObjectAttributes; what was not asked for
// is left out. Its entity tag, alone among all, bears no quotes.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
type GetObjectAttributesResponse struct {
	ETag         string                    `xml:"ETag,omitempty"`
	Checksum     *Checksum                 `xml:"Checksum"`
	ObjectParts  *GetObjectAttributesParts `xml:"ObjectParts"`
	StorageClass string                    `xml:"StorageClass,omitempty"`
	ObjectSize   *int64                    `xml:"ObjectSize"`
}

// Checksum is an object's checksum and what it is over.
type Checksum struct {
	Checksums
	ChecksumType string `xml:"ChecksumType,omitempty"`
}

// GetObjectAttributesParts is a page of an object's parts.
type GetObjectAttributesParts struct {
	IsTruncated          bool         `xml:"IsTruncated"`
	MaxParts             int          `xml:"MaxParts"`
	NextPartNumberMarker int          `xml:"NextPartNumberMarker,omitempty"`
	PartNumberMarker     int          `xml:"PartNumberMarker"`
	Parts                []ObjectPart `xml:"Part"`
	TotalPartsCount      int          `xml:"PartsCount"`
}

// ObjectPart is one part of an object.
type ObjectPart struct {
	PartNumber int   `xml:"PartNumber"`
	Size       int64 `xml:"Size"`
	Checksums
}

// AppendXML appends the root element.
func (r *GetObjectAttributesResponse) AppendXML(dst []byte) []byte {
	dst = appendSome(openRoot(dst, "GetObjectAttributesResponse"), "ETag", r.ETag)
	if r.Checksum != nil {
		dst = r.Checksum.Checksums.append(open(dst, "Checksum"))
		dst = shut(appendSome(dst, "ChecksumType", r.Checksum.ChecksumType), "Checksum")
	}
	if r.ObjectParts != nil {
		dst = r.ObjectParts.append(dst)
	}
	dst = appendSome(dst, "StorageClass", r.StorageClass)
	if r.ObjectSize != nil {
		dst = appendInt(dst, "ObjectSize", *r.ObjectSize)
	}
	return shut(dst, "GetObjectAttributesResponse")
}

func (p *GetObjectAttributesParts) append(dst []byte) []byte {
	dst = appendBool(open(dst, "ObjectParts"), "IsTruncated", p.IsTruncated)
	dst = appendInt(dst, "MaxParts", int64(p.MaxParts))
	if p.NextPartNumberMarker != 0 {
		dst = appendInt(dst, "NextPartNumberMarker", int64(p.NextPartNumberMarker))
	}
	dst = appendInt(dst, "PartNumberMarker", int64(p.PartNumberMarker))
	for i := range p.Parts {
		part := &p.Parts[i]
		dst = appendInt(open(dst, "Part"), "PartNumber", int64(part.PartNumber))
		dst = appendInt(dst, "Size", part.Size)
		dst = shut(part.Checksums.append(dst), "Part")
	}
	return shut(appendInt(dst, "PartsCount", int64(p.TotalPartsCount)), "ObjectParts")
}
