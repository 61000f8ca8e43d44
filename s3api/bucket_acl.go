package s3api

import (
	"context"

	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketACL returns the access control list of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html
func (s *Server) getBucketACL(_ context.Context, r *Request) (*Response, error) {
	acl, err := r.shownACL(r.shownBucket().Acl)
	if err != nil {
		return nil, err
	}
	return &Response{XML: r.aclXML(acl)}, nil
}

// putBucketACL replaces the access control list of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html
func (s *Server) putBucketACL(ctx context.Context, r *Request) (*Response, error) {
	document, err := r.readDocument(s3xml.MaxBody)
	if err != nil {
		return nil, err
	}
	acl, err := r.newACL(document, r.bucket.Owner, "", true)
	if err != nil || acl == nil {
		return &Response{}, err
	}
	r.closeView()
	_, err = s.propose(ctx, r, event.NewDraft(nil, &event.Statement_BucketAclSet{BucketAclSet: &event.BucketACLSet{
		Bucket: r.bucket.Bucket, Acl: acl,
	}}))
	return &Response{}, err
}
