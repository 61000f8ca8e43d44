package s3xml

import "strconv"

// ListBucketResult answers ListObjects (version 1). Keys, prefixes, delimiter and
// markers are raw: AppendXML encodes them if EncodingType asks for it.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
type ListBucketResult struct {
	Name           string         `xml:"Name"`
	Prefix         string         `xml:"Prefix"`
	Marker         string         `xml:"Marker"`
	NextMarker     string         `xml:"NextMarker,omitempty"`
	MaxKeys        int            `xml:"MaxKeys"`
	Delimiter      string         `xml:"Delimiter,omitempty"`
	EncodingType   string         `xml:"EncodingType,omitempty"`
	IsTruncated    bool           `xml:"IsTruncated"`
	Contents       []Object       `xml:"Contents"`
	CommonPrefixes []CommonPrefix `xml:"CommonPrefixes"`
}

// Object is one entry of a listing.
type Object struct {
	Key               string   `xml:"Key"`
	LastModified      Time     `xml:"LastModified"`
	ETag              ETag     `xml:"ETag"`
	ChecksumAlgorithm []string `xml:"ChecksumAlgorithm"`
	ChecksumType      string   `xml:"ChecksumType,omitempty"`
	Size              int64    `xml:"Size"`
	Owner             *Owner   `xml:"Owner"`
	StorageClass      string   `xml:"StorageClass"`
}

// CommonPrefix stands for all keys that begin with it.
type CommonPrefix struct {
	Prefix string `xml:"Prefix"`
}

// AppendXML appends the root element.
func (r *ListBucketResult) AppendXML(dst []byte) []byte {
	e := r.EncodingType
	dst = appendString(openRoot(dst, "ListBucketResult"), "Name", r.Name)
	// Version 1 does not encode the prefix: clients do not decode it.
	dst = appendString(dst, "Prefix", r.Prefix)
	dst = appendKey(dst, "Marker", r.Marker, e)
	dst = appendSomeKey(dst, "NextMarker", r.NextMarker, e)
	dst = appendInt(dst, "MaxKeys", int64(r.MaxKeys))
	dst = appendSomeKey(dst, "Delimiter", r.Delimiter, e)
	dst = appendSome(dst, "EncodingType", e)
	dst = appendBool(dst, "IsTruncated", r.IsTruncated)
	dst = appendContents(dst, r.Contents, e)
	return shut(appendPrefixes(dst, r.CommonPrefixes, e), "ListBucketResult")
}

// ListBucketResultV2 answers ListObjectsV2. ContinuationToken and StartAfter are
// those of the request: nil where it had none, and given back even if empty.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
type ListBucketResultV2 struct {
	Name                  string         `xml:"Name"`
	Prefix                string         `xml:"Prefix"`
	StartAfter            *string        `xml:"StartAfter"`
	ContinuationToken     *string        `xml:"ContinuationToken"`
	NextContinuationToken string         `xml:"NextContinuationToken,omitempty"`
	KeyCount              int            `xml:"KeyCount"`
	MaxKeys               int            `xml:"MaxKeys"`
	Delimiter             string         `xml:"Delimiter,omitempty"`
	EncodingType          string         `xml:"EncodingType,omitempty"`
	IsTruncated           bool           `xml:"IsTruncated"`
	Contents              []Object       `xml:"Contents"`
	CommonPrefixes        []CommonPrefix `xml:"CommonPrefixes"`
}

// AppendXML appends the root element.
func (r *ListBucketResultV2) AppendXML(dst []byte) []byte {
	e := r.EncodingType
	dst = appendString(openRoot(dst, "ListBucketResult"), "Name", r.Name)
	dst = appendKey(dst, "Prefix", r.Prefix, e)
	if r.StartAfter != nil {
		dst = appendKey(dst, "StartAfter", *r.StartAfter, e)
	}
	if r.ContinuationToken != nil {
		dst = appendString(dst, "ContinuationToken", *r.ContinuationToken)
	}
	dst = appendSome(dst, "NextContinuationToken", r.NextContinuationToken)
	dst = appendInt(dst, "KeyCount", int64(r.KeyCount))
	dst = appendInt(dst, "MaxKeys", int64(r.MaxKeys))
	dst = appendSomeKey(dst, "Delimiter", r.Delimiter, e)
	dst = appendSome(dst, "EncodingType", e)
	dst = appendBool(dst, "IsTruncated", r.IsTruncated)
	dst = appendContents(dst, r.Contents, e)
	return shut(appendPrefixes(dst, r.CommonPrefixes, e), "ListBucketResult")
}

// appendContents is the hot loop of listings: fixed text in as few pieces as can be.
func appendContents(dst []byte, objects []Object, encoding string) []byte {
	for i := range objects {
		o := &objects[i]
		dst = appendKey(append(dst, "<Contents>"...), "Key", o.Key, encoding)
		dst = o.LastModified.append(append(dst, "<LastModified>"...))
		dst = AppendText(append(dst, "</LastModified><ETag>&quot;"...), string(o.ETag))
		dst = append(dst, "&quot;</ETag>"...)
		for _, a := range o.ChecksumAlgorithm {
			dst = appendString(dst, "ChecksumAlgorithm", a)
		}
		dst = appendSome(dst, "ChecksumType", o.ChecksumType)
		dst = strconv.AppendInt(append(dst, "<Size>"...), o.Size, 10)
		dst = o.Owner.append(append(dst, "</Size>"...), "Owner")
		dst = AppendText(append(dst, "<StorageClass>"...), o.StorageClass)
		dst = append(dst, "</StorageClass></Contents>"...)
	}
	return dst
}

func appendPrefixes(dst []byte, prefixes []CommonPrefix, encoding string) []byte {
	for i := range prefixes {
		dst = appendKey(append(dst, "<CommonPrefixes>"...), "Prefix", prefixes[i].Prefix, encoding)
		dst = append(dst, "</CommonPrefixes>"...)
	}
	return dst
}
