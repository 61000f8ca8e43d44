package s3api

import (
	"context"

	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketCORS returns the CORS rules of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketCors.html
func (s *Server) getBucketCORS(_ context.Context, r *Request) (*Response, error) {
	return r.getDocument(event.DocumentKind_DOCUMENT_KIND_CORS, "NoSuchCORSConfiguration")
}

// putBucketCORS replaces the CORS rules of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
func (s *Server) putBucketCORS(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.CORSConfiguration
	if err := r.newDocument(s3xml.MaxCORSBody, &doc); err != nil {
		return nil, err
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_CORS, &doc)
}

// deleteBucketCORS removes the CORS rules of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketCors.html
func (s *Server) deleteBucketCORS(ctx context.Context, r *Request) (*Response, error) {
	return s.deleteDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_CORS)
}
