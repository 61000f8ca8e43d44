package s3api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/policy"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// putBucketPolicy sets the policy of a bucket. The text is kept as it came.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
func (s *Server) putBucketPolicy(ctx context.Context, r *Request) (*Response, error) {
	text, err := r.readDocument(policy.MaxBucket)
	if err != nil {
		return nil, err
	}
	p, err := s.policies.parse(text)
	if err != nil {
		return nil, malformedPolicy(err)
	}
	if err := p.CheckBucket(r.Bucket); err != nil {
		return nil, malformedPolicy(err)
	}
	if err := r.checkPrincipals(p); err != nil {
		return nil, malformedPolicy(err)
	}
	rules, err := r.rules(r.bucket)
	if err != nil {
		return nil, err
	}
	if rules.block.BlockPublicPolicy && p.Public() {
		return nil, s3err.New("AccessDenied")
	}
	if err := s.checkSelf(r, rules, p); err != nil {
		return nil, err
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{
		Bucket: r.bucket.Bucket, Kind: event.DocumentKind_DOCUMENT_KIND_POLICY, Confirmed: r.bindsOwner(),
	}}).Add(event.ItemKind_ITEM_KIND_DOCUMENT, 0, text)
	if _, err := s.propose(ctx, r, d); err != nil {
		return nil, err
	}
	return noContent(), nil
}

// malformedPolicy tells a client what is wrong with its policy, and where.
func malformedPolicy(err error) error {
	var bad *policy.Error
	if !errors.As(err, &bad) {
		return err
	}
	e := s3err.Newf(bad.Code, "%s", bad.Message)
	if bad.Detail != "" {
		e = e.With("Detail", bad.Detail)
	}
	return e.Because(err)
}

// checkPrincipals refuses a policy that names an account that is not there: what is
// meant for somebody must not wait for whoever gets that name.
func (r *Request) checkPrincipals(p *policy.Policy) error {
	numbers, canonicalIDs := p.Accounts()
	for _, number := range numbers {
		if len(number) != 12 || strings.Trim(number, "0123456789") != "" {
			continue // cannot be one of ours, ever
		}
		a, err := r.view.AccountByID(number)
		if err != nil {
			return err
		}
		if a == nil {
			return policy.InvalidPrincipal(policy.Bucket, number)
		}
	}
	for _, id := range canonicalIDs {
		a, err := r.view.Account(id)
		if err != nil {
			return err
		}
		if a == nil {
			return policy.InvalidPrincipal(policy.Bucket, id)
		}
	}
	return nil
}

// bindsOwner reports whether the policy is to bind the bucket owner's account, too. The
// account itself must say so, and no user of it: nobody else can give up for it what it
// may do. A node of an older release would stop at an event that tells it.
func (r *Request) bindsOwner() bool {
	owner := r.principal.User == "" && r.principal.CanonicalID == r.bucket.Owner
	return owner && r.confirmsPolicy() && r.cluster.GetFeatureLevel() >= documentLevel
}

// confirmsPolicy reports whether the caller says that it means to lock itself out.
func (r *Request) confirmsPolicy() bool {
	return strings.EqualFold(r.Header.Get("X-Amz-Confirm-Remove-Self-Bucket-Access"), "true")
}

// checkSelf refuses a policy that would not let the caller replace it again, unless
// that is confirmed.
func (s *Server) checkSelf(r *Request, now bucketRules, p *policy.Policy) error {
	if r.confirmsPolicy() {
		return nil
	}
	then := now
	then.policy, then.unreadable = p, false
	r.remember(r.bucket, then)
	d, err := s.judge(r, question{action: r.op.action, bucket: r.bucket})
	r.remember(r.bucket, now)
	if err == nil && !d.Allowed {
		err = s3err.Newf("AccessDenied", "With this policy you could not change the policy again. Send x-amz-confirm-remove-self-bucket-access: true if that is meant.")
	}
	return err
}

// getBucketPolicy returns the policy of a bucket, byte for byte.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html
func (s *Server) getBucketPolicy(_ context.Context, r *Request) (*Response, error) {
	text, err := r.policyText()
	if err != nil {
		return nil, err
	}
	return &Response{
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   textBody{bytes.NewReader(text)}, Length: int64(len(text)),
	}, nil
}

// textBody is a body that is at hand.
type textBody struct{ *bytes.Reader }

// Close does nothing.
func (textBody) Close() error { return nil }

// policyText is the policy as it was set; NoSuchBucketPolicy where there is none.
func (r *Request) policyText() ([]byte, error) {
	doc, err := r.shownView().Document(r.bucket.Bucket, event.DocumentKind_DOCUMENT_KIND_POLICY)
	if err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, s3err.New("NoSuchBucketPolicy").With("BucketName", r.Bucket)
	}
	return doc.Text, nil
}

// deleteBucketPolicy removes the policy of a bucket. That there is none is a success.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketPolicy.html
func (s *Server) deleteBucketPolicy(ctx context.Context, r *Request) (*Response, error) {
	_, err := r.policyText()
	switch {
	case s3err.Is(err, "NoSuchBucketPolicy"):
		return noContent(), nil
	case err != nil:
		return nil, err
	}
	r.closeView()
	if _, err := s.propose(ctx, r, event.NewDraft(nil, &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{
		Bucket: r.bucket.Bucket, Kind: event.DocumentKind_DOCUMENT_KIND_POLICY,
	}})); err != nil {
		return nil, err
	}
	return noContent(), nil
}

// getBucketPolicyStatus tells whether the policy of a bucket, or its access control list,
// is public.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html
func (s *Server) getBucketPolicyStatus(_ context.Context, r *Request) (*Response, error) {
	rules, err := r.shownRules()
	if err != nil {
		return nil, err
	}
	public := rules.policy != nil && rules.policy.Public()
	if !rules.aclsDisabled() && !rules.block.IgnorePublicACLs {
		public = public || access.Public(r.shownBucket().Acl)
	}
	return &Response{XML: &s3xml.PolicyStatus{IsPublic: public}}, nil
}

// admitParts decides on what a PUT does beside storing an object: its headers may set
// an access control list and tags, each an action of its own. Whoever stores an
// object owns it, so that accounts may do both unless a policy denies it.
func (s *Server) admitParts(r *Request) error {
	if r.op.action != "s3:PutObject" || r.op.query == "uploadId" {
		return nil
	}
	for _, part := range [...]struct {
		action string
		asked  bool
	}{{"s3:PutObjectAcl", access.HasHeaders(r.Header)}, {"s3:PutObjectTagging", r.setsTags()}} {
		if !part.asked {
			continue
		}
		d, err := s.judge(r, question{action: part.action, bucket: r.bucket, key: r.Key, object: &fsm.Object{Owner: r.principal.Owner()}})
		if err != nil {
			return err
		}
		// What an anonymous request stores is nobody's: only a denial speaks of it.
		if d.Denied || !d.Allowed && !r.principal.Anonymous() {
			return s3err.New("AccessDenied")
		}
	}
	return s.admitKeptLock(r)
}

// admitKeptLock decides on the lock that a renamed object keeps: nobody may fill a bucket
// with versions that cannot be deleted without the right to lock them.
func (s *Server) admitKeptLock(r *Request) error {
	lock := r.keptLock()
	if lock.GetMode() != event.RetentionMode_RETENTION_MODE_NONE {
		if err := s.mayAlso(r, "s3:PutObjectRetention"); err != nil {
			return err
		}
	}
	if lock.GetLegalHold() {
		return s.mayAlso(r, "s3:PutObjectLegalHold")
	}
	return nil
}
