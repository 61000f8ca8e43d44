package s3api

import (
	"context"

	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketEncryption returns how objects are encrypted that do not say it themselves. A
// bucket that was never told has no configuration: nothing in it is encrypted unasked, so
// Amazon's default (AES256) would be a promise that is not kept.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketEncryption.html
func (s *Server) getBucketEncryption(_ context.Context, r *Request) (*Response, error) {
	return r.getDocument(event.DocumentKind_DOCUMENT_KIND_ENCRYPTION, "ServerSideEncryptionConfigurationNotFoundError")
}

// putBucketEncryption sets how objects are encrypted that do not say it themselves.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html
func (s *Server) putBucketEncryption(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.ServerSideEncryptionConfiguration
	if err := r.newDocument(s3xml.MaxBody, &doc); err != nil {
		return nil, err
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_ENCRYPTION, &doc)
}

// deleteBucketEncryption removes a bucket's encryption configuration.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketEncryption.html
func (s *Server) deleteBucketEncryption(ctx context.Context, r *Request) (*Response, error) {
	return s.deleteDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_ENCRYPTION)
}
