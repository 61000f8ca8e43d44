package s3api

import (
	"context"
	"net/http"

	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getObjectTagging returns the tags of a version.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html
func (s *Server) getObjectTagging(_ context.Context, r *Request) (*Response, error) {
	out := &s3xml.Tagging{}
	for _, t := range r.object.Tags.GetTags() {
		out.TagSet.Tags = append(out.TagSet.Tags, s3xml.Tag{Key: t.Key, Value: t.Value})
	}
	h := http.Header{}
	setVersion(h, r.shownBucket(), r.object.Version, r.object.NullVersion)
	return &Response{Header: h, XML: out}, nil
}

// putObjectTagging replaces the tags of a version.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html
func (s *Server) putObjectTagging(ctx context.Context, r *Request) (*Response, error) {
	if r.ahead.err != nil {
		return nil, r.ahead.err
	}
	return s.setTags(ctx, r, r.ahead.tags, &Response{Header: http.Header{}})
}

// decodeTags reads the document of PutObjectTagging.
func (r *Request) decodeTags() (*event.Tags, error) {
	var doc s3xml.Tagging
	if err := r.decodeNeeded(&doc); err != nil {
		return nil, err
	}
	values := make(map[string][]string, len(doc.TagSet.Tags))
	for _, t := range doc.TagSet.Tags {
		values[t.Key] = append(values[t.Key], t.Value)
	}
	return checkTags(values)
}

// deleteObjectTagging takes the tags of a version away.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjectTagging.html
func (s *Server) deleteObjectTagging(ctx context.Context, r *Request) (*Response, error) {
	return s.setTags(ctx, r, nil, noContent())
}

// setTags agrees on the tags of the version that was admitted; nil: none.
func (s *Server) setTags(ctx context.Context, r *Request, tags *event.Tags, done *Response) (*Response, error) {
	return s.changeVersion(ctx, r, func(ctx context.Context, r *Request) (*Response, error) {
		setVersion(r.responseHeader, r.bucket, r.object.Version, r.object.NullVersion)
		r.closeView()
		d := event.NewDraft(nil, &event.Statement_ObjectTagsSet{ObjectTagsSet: &event.ObjectTagsSet{
			Bucket: r.bucket.Bucket, Version: r.object.Version,
		}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
		if len(tags.GetTags()) > 0 {
			d.AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, tags)
		}
		_, err := s.propose(ctx, r, d)
		return done, err
	})
}
