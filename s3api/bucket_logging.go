package s3api

import (
	"context"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/accesslog"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketLogging returns where a bucket's access logs go; nowhere is an empty document.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLogging.html
func (s *Server) getBucketLogging(_ context.Context, r *Request) (*Response, error) {
	d, err := r.shownDocument(event.DocumentKind_DOCUMENT_KIND_LOGGING)
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

// checkLogTarget refuses a target that logs of the request's bucket cannot be delivered to
// as things are. Grants on them are kept by canonical id, as GetBucketLogging shows them.
func (r *Request) checkLogTarget(e *s3xml.LoggingEnabled) error {
	of := accesslog.Source{Bucket: r.bucket.Bucket, Name: r.bucket.Name, Owner: r.bucket.Owner}
	target, err := r.logTarget(of, e)
	if err != nil {
		return err
	}
	if err := r.checkTargetGrants(target, e); err != nil {
		return err
	}
	now := r.server.Now()
	place, err := r.logPlace(of, e)
	if err != nil {
		return err
	}
	_, err = r.admitLogDelivery(of, target, place.Key(now, now, [accesslog.UniqueBytes]byte{}))
	return err
}

// logTarget is the bucket that logs go to: one of the same owner, which pays for itself and
// locks nothing by default.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
func (r *Request) logTarget(of accesslog.Source, e *s3xml.LoggingEnabled) (*fsm.Bucket, error) {
	target, err := r.view.BucketByName(e.TargetBucket)
	switch {
	case err != nil:
		return nil, err
	case target == nil:
		return nil, invalidLogTarget(e, "The target bucket for logging does not exist")
	case target.Owner != of.Owner:
		return nil, invalidLogTarget(e, "The owner for the bucket to be logged and the target bucket must be the same.")
	case retentionName(target.DefaultMode) != "":
		return nil, invalidLogTarget(e, "The target bucket for logging must not have a default retention.")
	}
	rules, err := r.rules(target)
	if err == nil && rules.requesterPays {
		err = s3err.InvalidArgument("TargetBucket", e.TargetBucket, "Requesters cannot pay for the target bucket for logging.")
	}
	return target, err
}

func invalidLogTarget(e *s3xml.LoggingEnabled, message string) error {
	return s3err.Newf("InvalidTargetBucketForLogging", "%s", message).With("TargetBucket", e.TargetBucket)
}

// checkTargetGrants makes grants on logs ones by canonical id.
func (r *Request) checkTargetGrants(target *fsm.Bucket, e *s3xml.LoggingEnabled) error {
	if e.TargetGrants == nil || len(e.TargetGrants.Grants) == 0 {
		e.TargetGrants = nil
		return nil
	}
	rules, err := r.rules(target)
	if err != nil {
		return err
	}
	if rules.aclsDisabled() {
		return s3err.Newf("AccessControlListNotSupported", "The target bucket for logging does not allow ACLs, and so no target grants.")
	}
	acl, err := r.grantsOnLogs(target, e.TargetGrants.Grants)
	if s3err.Is(err, "MalformedACLError") {
		return s3err.New("MalformedXML").Because(err)
	}
	if err != nil {
		return err
	}
	e.TargetGrants.Grants = r.aclXML(acl).AccessControlList.Grants
	return nil
}

// grantsOnLogs is a list of grants on an object in the target.
func (r *Request) grantsOnLogs(target *fsm.Bucket, grants []s3xml.Grant) (*event.ACL, error) {
	return access.FromDocument(&s3xml.AccessControlPolicy{
		Owner: &s3xml.Owner{ID: target.Owner}, AccessControlList: s3xml.AccessControlList{Grants: grants},
	}, access.Subject{Target: access.Object, Owner: target.Owner, BucketOwner: target.Owner}, accounts{r.view})
}
