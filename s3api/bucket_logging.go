package s3api

import (
	"context"

	"ironman/s3api/access"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketLogging returns where a bucket's access logs go; nowhere is an empty document.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLogging.html
func (s *Server) getBucketLogging(_ context.Context, r *Request) (*Response, error) {
	d, err := r.document(r.bucket, event.DocumentKind_DOCUMENT_KIND_LOGGING)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return &Response{XML: &s3xml.BucketLoggingStatus{}}, nil
	}
	return &Response{XML: s3xml.Raw(d.Text)}, nil
}

// putBucketLogging sets where a bucket's access logs go, or that there are none.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLogging.html
func (s *Server) putBucketLogging(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.BucketLoggingStatus
	if err := r.newDocument(s3xml.MaxBody, &doc); err != nil {
		return nil, err
	}
	if doc.LoggingEnabled == nil {
		return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_LOGGING, nil)
	}
	if err := r.checkLogTarget(doc.LoggingEnabled); err != nil {
		return nil, err
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_LOGGING, &doc)
}

// checkLogTarget: logs go to a bucket of the same owner. Grants on them are kept by
// canonical id, as GetBucketLogging shows them.
func (r *Request) checkLogTarget(e *s3xml.LoggingEnabled) error {
	target, err := r.view.BucketByName(e.TargetBucket)
	switch {
	case err != nil:
		return err
	case target == nil:
		return s3err.Newf("InvalidTargetBucketForLogging", "The target bucket for logging does not exist").With("TargetBucket", e.TargetBucket)
	case target.Owner != r.bucket.Owner:
		return s3err.Newf("InvalidTargetBucketForLogging", "The owner for the bucket to be logged and the target bucket must be the same.").With("TargetBucket", e.TargetBucket)
	}
	rules, err := r.rules(target)
	if err != nil {
		return err
	}
	if rules.requesterPays {
		return s3err.InvalidArgument("TargetBucket", e.TargetBucket, "Requesters cannot pay for the target bucket for logging.")
	}
	if e.TargetGrants == nil || len(e.TargetGrants.Grants) == 0 {
		e.TargetGrants = nil
		return nil
	}
	if rules.aclsDisabled() {
		return s3err.Newf("AccessControlListNotSupported", "The target bucket for logging does not allow ACLs, and so no target grants.")
	}
	acl, err := access.FromDocument(&s3xml.AccessControlPolicy{
		Owner: &s3xml.Owner{ID: target.Owner}, AccessControlList: s3xml.AccessControlList{Grants: e.TargetGrants.Grants},
	}, access.Subject{Target: access.Object, Owner: target.Owner, BucketOwner: target.Owner}, accounts{r.view})
	if s3err.Is(err, "MalformedACLError") {
		return s3err.New("MalformedXML").Because(err)
	}
	if err != nil {
		return err
	}
	e.TargetGrants.Grants = r.aclXML(acl).AccessControlList.Grants
	return nil
}
