package s3api

import (
	"context"

	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getPublicAccessBlock returns what of public access a bucket forbids.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetPublicAccessBlock.html
func (s *Server) getPublicAccessBlock(_ context.Context, r *Request) (*Response, error) {
	return r.getDocument(event.DocumentKind_DOCUMENT_KIND_PUBLIC_ACCESS_BLOCK, "NoSuchPublicAccessBlockConfiguration")
}

// putPublicAccessBlock sets what of public access a bucket forbids.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html
func (s *Server) putPublicAccessBlock(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.PublicAccessBlock
	if err := r.newDocument(s3xml.MaxBody, &doc); err != nil {
		return nil, err
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_PUBLIC_ACCESS_BLOCK, &doc)
}

// deletePublicAccessBlock forbids nothing any more.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeletePublicAccessBlock.html
func (s *Server) deletePublicAccessBlock(ctx context.Context, r *Request) (*Response, error) {
	return s.deleteDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_PUBLIC_ACCESS_BLOCK)
}
