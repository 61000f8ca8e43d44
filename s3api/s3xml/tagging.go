package s3xml

import "encoding/xml"

// Tagging is the body of PutObjectTagging and PutBucketTagging, and the answer of
// their Get. How many tags there may be and what they may hold is for the
// operation to say.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html
type Tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	TagSet  TagSet   `xml:"TagSet" s3:"required"`
}

// TagSet is a list of tags.
type TagSet struct {
	Tags []Tag `xml:"Tag"`
}

// Tag is a name and its value, which may be empty.
type Tag struct {
	Key   string `xml:"Key" s3:"required"`
	Value string `xml:"Value" s3:"required"`
}

// AppendXML appends the root element.
func (t *Tagging) AppendXML(dst []byte) []byte {
	dst = open(openRoot(dst, "Tagging"), "TagSet")
	for i := range t.TagSet.Tags {
		dst = t.TagSet.Tags[i].append(dst)
	}
	return shut(shut(dst, "TagSet"), "Tagging")
}
