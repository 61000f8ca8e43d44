package s3api

import (
	"context"
	"errors"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketVersioning tells whether a bucket keeps versions; nothing, if it never did.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html
func (s *Server) getBucketVersioning(_ context.Context, r *Request) (*Response, error) {
	out := &s3xml.VersioningConfiguration{}
	switch r.shownBucket().Versioning {
	case event.VersioningState_VERSIONING_STATE_ENABLED:
		out.Status = "Enabled"
	case event.VersioningState_VERSIONING_STATE_SUSPENDED:
		out.Status = "Suspended"
	}
	return &Response{XML: out}, nil
}

// putBucketVersioning enables or suspends versioning. MFA delete is refused: nobody
// here has such a device.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html
func (s *Server) putBucketVersioning(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.VersioningConfiguration
	err := r.decodeXML(s3xml.MaxBody, &doc)
	if errors.Is(err, s3xml.ErrEmpty) {
		err = s3err.New("MissingRequestBodyError")
	}
	if err != nil {
		return nil, err
	}
	if doc.MFADelete == "Enabled" || r.Header.Get("X-Amz-Mfa") != "" {
		return nil, s3err.Newf("NotImplemented", "MFA delete is not implemented.")
	}
	state := event.VersioningState_VERSIONING_STATE_ENABLED
	if doc.Status == "Suspended" {
		state = event.VersioningState_VERSIONING_STATE_SUSPENDED
		if r.bucket.ObjectLock {
			return nil, s3err.Newf("InvalidBucketState", "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
		}
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_BucketVersioningSet{BucketVersioningSet: &event.BucketVersioningSet{
		Bucket: r.bucket.Bucket, State: state,
	}})
	if _, err := s.propose(ctx, r, d); err != nil {
		return nil, err
	}
	return &Response{}, nil
}
