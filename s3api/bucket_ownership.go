package s3api

import (
	"context"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketOwnershipControls returns whose objects are that others put in a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketOwnershipControls.html
func (s *Server) getBucketOwnershipControls(_ context.Context, r *Request) (*Response, error) {
	return r.getDocument(event.DocumentKind_DOCUMENT_KIND_OWNERSHIP_CONTROLS, "OwnershipControlsNotFoundError")
}

// putBucketOwnershipControls sets whose objects are that others put in a bucket. Lists
// cannot be disabled while the bucket's own gives others something.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html
func (s *Server) putBucketOwnershipControls(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.OwnershipControls
	if err := r.newDocument(s3xml.MaxBody, &doc); err != nil {
		return nil, err
	}
	if doc.Rules[0].ObjectOwnership == s3xml.BucketOwnerEnforced && !ownerOnly(r.bucket.Acl) {
		return nil, s3err.New("InvalidBucketAclWithObjectOwnership")
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_OWNERSHIP_CONTROLS, &doc)
}

// deleteBucketOwnershipControls lets objects be their writers' again.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketOwnershipControls.html
func (s *Server) deleteBucketOwnershipControls(ctx context.Context, r *Request) (*Response, error) {
	return s.deleteDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_OWNERSHIP_CONTROLS)
}
