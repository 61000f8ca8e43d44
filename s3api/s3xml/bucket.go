package s3xml

import "encoding/xml"

// ListAllMyBucketsResult answers ListBuckets.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
type ListAllMyBucketsResult struct {
	Owner             Owner    `xml:"Owner"`
	Buckets           []Bucket `xml:"Buckets>Bucket"`
	ContinuationToken string   `xml:"ContinuationToken,omitempty"`
	Prefix            string   `xml:"Prefix,omitempty"`
}

// Bucket is one entry of ListAllMyBucketsResult.
type Bucket struct {
	Name         string `xml:"Name"`
	CreationDate Time   `xml:"CreationDate"`
	BucketRegion string `xml:"BucketRegion,omitempty"`
	BucketARN    string `xml:"BucketArn,omitempty"`
}

// AppendXML appends the root element.
func (r *ListAllMyBucketsResult) AppendXML(dst []byte) []byte {
	dst = openRoot(dst, "ListAllMyBucketsResult")
	dst = open(r.Owner.append(dst, "Owner"), "Buckets")
	for i := range r.Buckets {
		b := &r.Buckets[i]
		dst = appendString(open(dst, "Bucket"), "Name", b.Name)
		dst = appendTime(dst, "CreationDate", b.CreationDate)
		dst = appendSome(dst, "BucketRegion", b.BucketRegion)
		dst = shut(appendSome(dst, "BucketArn", b.BucketARN), "Bucket")
	}
	dst = appendSome(shut(dst, "Buckets"), "ContinuationToken", r.ContinuationToken)
	dst = appendSome(dst, "Prefix", r.Prefix)
	return shut(dst, "ListAllMyBucketsResult")
}

// CreateBucketConfiguration is the body of CreateBucket. Location and Bucket name
// directory buckets, which the store does not have; it is for the operation to say so.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
type CreateBucketConfiguration struct {
	XMLName            xml.Name      `xml:"CreateBucketConfiguration"`
	LocationConstraint string        `xml:"LocationConstraint"`
	Location           *LocationInfo `xml:"Location"`
	Bucket             *BucketInfo   `xml:"Bucket"`
	Tags               *TagSet       `xml:"Tags"`
}

// LocationInfo says where a directory bucket is to be.
type LocationInfo struct {
	Name string `xml:"Name"`
	Type string `xml:"Type"`
}

// BucketInfo says what a directory bucket is to be.
type BucketInfo struct {
	DataRedundancy string `xml:"DataRedundancy"`
	Type           string `xml:"Type"`
}

// LocationConstraint answers GetBucketLocation: the region, empty for us-east-1.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
type LocationConstraint string

// AppendXML appends the root element.
func (l LocationConstraint) AppendXML(dst []byte) []byte {
	return shut(AppendText(openRoot(dst, "LocationConstraint"), string(l)), "LocationConstraint")
}
