package s3api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"ironman/s3api/lifecycle"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// minimumSizeHeader says from what size on objects move to other storage classes. There
// are none, so it says nothing here; but who has set it must find it.
const minimumSizeHeader = "X-Amz-Transition-Default-Minimum-Object-Size"

// getBucketLifecycle returns the lifecycle rules of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
func (s *Server) getBucketLifecycle(_ context.Context, r *Request) (*Response, error) {
	var doc s3xml.StoredLifecycle
	ok, err := decodeDocument(r.shownView(), r.shownBucket(), event.DocumentKind_DOCUMENT_KIND_LIFECYCLE, &doc)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, s3err.New("NoSuchLifecycleConfiguration").With("BucketName", r.Bucket)
	}
	return &Response{Header: http.Header{minimumSizeHeader: {doc.MinimumSize}}, XML: &doc.LifecycleConfiguration}, nil
}

// putBucketLifecycle replaces the lifecycle rules of a bucket. Rules without an id are
// given one.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html
func (s *Server) putBucketLifecycle(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.StoredLifecycle
	if err := r.newDocument(s3xml.MaxBody, &doc.LifecycleConfiguration); err != nil {
		return nil, err
	}
	switch doc.MinimumSize = r.Header.Get(minimumSizeHeader); doc.MinimumSize {
	case "":
		doc.MinimumSize = "all_storage_classes_128K"
	case "all_storage_classes_128K", "varies_by_storage_class":
	default:
		return nil, s3err.InvalidArgument(strings.ToLower(minimumSizeHeader), doc.MinimumSize, "The value is not valid.")
	}
	if _, err := lifecycle.Parse(&doc.LifecycleConfiguration); err != nil {
		return nil, err
	}
	for i := range doc.Rules {
		if doc.Rules[i].ID == "" {
			doc.Rules[i].ID = newConfigurationID()
		}
	}
	if err := s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_LIFECYCLE, &doc); err != nil {
		return nil, err
	}
	return &Response{Header: http.Header{minimumSizeHeader: {doc.MinimumSize}}}, nil
}

// newConfigurationID is the id of a rule whose client gave it none.
func newConfigurationID() string {
	id := newRequestID()
	return hex.EncodeToString(id[:])
}

// deleteBucketLifecycle removes the lifecycle rules of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketLifecycle.html
func (s *Server) deleteBucketLifecycle(ctx context.Context, r *Request) (*Response, error) {
	return s.deleteDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_LIFECYCLE)
}
