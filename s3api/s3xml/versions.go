package s3xml

// ListVersionsResult answers ListObjectVersions. Keys, prefixes, delimiter and
// markers are raw: AppendXML encodes them if EncodingType asks for it.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
type ListVersionsResult struct {
	Name                string `xml:"Name"`
	Prefix              string `xml:"Prefix"`
	KeyMarker           string `xml:"KeyMarker"`
	VersionIDMarker     string `xml:"VersionIdMarker"`
	NextKeyMarker       string `xml:"NextKeyMarker,omitempty"`
	NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
	MaxKeys             int    `xml:"MaxKeys"`
	Delimiter           string `xml:"Delimiter,omitempty"`
	EncodingType        string `xml:"EncodingType,omitempty"`
	IsTruncated         bool   `xml:"IsTruncated"`
	// Entries are of both kinds, in the order of the listing.
	Entries        []ObjectVersion `xml:"-"`
	CommonPrefixes []CommonPrefix  `xml:"CommonPrefixes"`
}

// The names of the two kinds of entries.
const (
	elementVersion = "Version"
	elementMarker  = "DeleteMarker"
)

// ObjectVersion is a version of an object, or a delete marker; the latter has
// neither entity tag, size, storage class nor checksum.
type ObjectVersion struct {
	DeleteMarker      bool     `xml:"-"`
	Key               string   `xml:"Key"`
	VersionID         string   `xml:"VersionId"`
	IsLatest          bool     `xml:"IsLatest"`
	LastModified      Time     `xml:"LastModified"`
	ETag              ETag     `xml:"ETag"`
	ChecksumAlgorithm []string `xml:"ChecksumAlgorithm"`
	ChecksumType      string   `xml:"ChecksumType,omitempty"`
	Size              int64    `xml:"Size"`
	Owner             *Owner   `xml:"Owner"`
	StorageClass      string   `xml:"StorageClass"`
}

// AppendXML appends the root element.
func (r *ListVersionsResult) AppendXML(dst []byte) []byte {
	e := r.EncodingType
	dst = appendString(openRoot(dst, "ListVersionsResult"), "Name", r.Name)
	dst = appendKey(dst, "Prefix", r.Prefix, e)
	dst = appendKey(dst, "KeyMarker", r.KeyMarker, e)
	dst = appendString(dst, "VersionIdMarker", r.VersionIDMarker)
	dst = appendSomeKey(dst, "NextKeyMarker", r.NextKeyMarker, e)
	dst = appendSome(dst, "NextVersionIdMarker", r.NextVersionIDMarker)
	dst = appendInt(dst, "MaxKeys", int64(r.MaxKeys))
	dst = appendSomeKey(dst, "Delimiter", r.Delimiter, e)
	dst = appendSome(dst, "EncodingType", e)
	dst = appendBool(dst, "IsTruncated", r.IsTruncated)
	for i := range r.Entries {
		dst = r.Entries[i].append(dst, e)
	}
	return shut(appendPrefixes(dst, r.CommonPrefixes, e), "ListVersionsResult")
}

func (v *ObjectVersion) append(dst []byte, encoding string) []byte {
	name := elementVersion
	if v.DeleteMarker {
		name = elementMarker
	}
	dst = appendKey(open(dst, name), "Key", v.Key, encoding)
	dst = appendString(dst, "VersionId", v.VersionID)
	dst = appendBool(dst, "IsLatest", v.IsLatest)
	dst = appendTime(dst, "LastModified", v.LastModified)
	if v.DeleteMarker {
		return shut(v.Owner.append(dst, "Owner"), name)
	}
	dst = appendETag(dst, "ETag", v.ETag)
	for _, a := range v.ChecksumAlgorithm {
		dst = appendString(dst, "ChecksumAlgorithm", a)
	}
	dst = appendSome(dst, "ChecksumType", v.ChecksumType)
	dst = appendInt(dst, "Size", v.Size)
	dst = v.Owner.append(dst, "Owner")
	return shut(appendString(dst, "StorageClass", v.StorageClass), name)
}
