package s3api

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// maxBucketTags is how many tags a bucket may have.
const maxBucketTags = 50

// getBucketTagging returns the tags of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketTagging.html
func (s *Server) getBucketTagging(_ context.Context, r *Request) (*Response, error) {
	return r.getDocument(event.DocumentKind_DOCUMENT_KIND_TAGGING, "NoSuchTagSet")
}

// putBucketTagging replaces the tags of a bucket. An empty set removes them.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html
func (s *Server) putBucketTagging(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.Tagging
	if err := r.newDocument(s3xml.MaxBody, &doc); err != nil {
		return nil, err
	}
	if err := checkBucketTags(doc.TagSet.Tags); err != nil {
		return nil, err
	}
	if len(doc.TagSet.Tags) == 0 {
		return s.deleteDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_TAGGING)
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_TAGGING, &doc)
}

// deleteBucketTagging removes the tags of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketTagging.html
func (s *Server) deleteBucketTagging(ctx context.Context, r *Request) (*Response, error) {
	return s.deleteDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_TAGGING)
}

// checkBucketTags judges a bucket's tags.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html
func checkBucketTags(tags []s3xml.Tag) error {
	if len(tags) > maxBucketTags {
		return s3err.Newf("BadRequest", "Bucket tag count cannot be greater than %d", maxBucketTags)
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		switch {
		case seen[t.Key]:
			return s3err.Newf("InvalidTag", "Cannot provide multiple Tags with the same key")
		case t.Key == "" || utf8.RuneCountInString(t.Key) > 128 || !validTagText(t.Key):
			return s3err.Newf("InvalidTag", "The TagKey you have provided is invalid").With("TagKey", t.Key)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return s3err.Newf("InvalidTag", "System tags cannot be added/updated by requester")
		case utf8.RuneCountInString(t.Value) > 256 || !validTagText(t.Value):
			return s3err.Newf("InvalidTag", "The TagValue you have provided is invalid").With("TagKey", t.Key).With("TagValue", t.Value)
		}
		seen[t.Key] = true
	}
	return nil
}

// validTagText: letters, digits and spaces of any script, and a few signs.
func validTagText(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !unicode.In(c, unicode.L, unicode.N, unicode.Z) && !strings.ContainsRune("_.:/=+-@", c)
	})
}
