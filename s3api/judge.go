package s3api

import (
	"crypto/tls"
	"net/netip"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/policy"
	"ironman/wal/event"
)

// question asks whether who made the request may do something; all of it is seen at
// the request's view.
type question struct {
	action string
	bucket *fsm.Bucket // nil: the service
	key    string      // the object's, where the action is done to one
	object *fsm.Object // nil: there is none (yet)
	upload *access.Upload
	// version is the version id that is asked for; "": the current one.
	version string
	// listed is a key for which a listing is imagined that would show it.
	listed string
}

// judge decides: grants, owners and policies at once. Every decision goes through here.
func (s *Server) judge(r *Request, q question) (access.Decision, error) {
	switch {
	case r.past == nil:
	case q.object != nil:
		return s.judgePast(r, q)
	case q.action == "s3:ListBucket" && r.op.name != "HeadBucket":
		return s.judgePastList(r, q)
	}
	return s.judgeNow(r, q)
}

// judgeNow decides on what there is at the request's view.
func (s *Server) judgeNow(r *Request, q question) (access.Decision, error) {
	a := &access.Request{Action: q.action, Upload: q.upload}
	if q.object != nil {
		a.Object = &access.Resource{Owner: q.object.Owner, ACL: q.object.Acl}
	}
	if q.bucket != nil {
		a.Bucket = access.Resource{Owner: q.bucket.Owner, ACL: q.bucket.Acl}
		rules, err := r.rules(q.bucket)
		if err != nil {
			return access.Decision{}, err
		}
		a.PolicyConfirmed = rules.confirmed
		a.ACLsDisabled, a.IgnorePublicACLs = rules.aclsDisabled(), rules.block.IgnorePublicACLs
		if a.BucketPolicy, err = r.bucketOpinion(&rules, q); err != nil {
			return access.Decision{}, err
		}
	}
	if err := s.identityOpinions(r, a, q.resource(r), func() (*policy.Facts, error) { return r.facts(q) }); err != nil {
		return access.Decision{}, err
	}
	return access.Decide(r.principal, a), nil
}

// bucketOpinion is what the bucket's policy says.
func (r *Request) bucketOpinion(rules *bucketRules, q question) (access.Opinion, error) {
	switch {
	case rules.unreadable:
		return access.Opinion{Verdict: access.Deny}, nil
	case rules.policy == nil:
		return access.Opinion{}, nil
	}
	asked, err := r.forPolicies(q)
	if err != nil {
		return access.Opinion{}, err
	}
	o := policy.Evaluate([]policy.Named{{ID: "bucket-policy", Policy: rules.policy}}, asked)
	if o.Verdict == access.Allow && rules.block.RestrictPublicBuckets && r.principal.CanonicalID != q.bucket.Owner && rules.policy.Public() {
		return access.Opinion{}, nil
	}
	return o, nil
}

// forPolicies puts a question as policies understand it.
func (r *Request) forPolicies(q question) (*policy.Request, error) {
	f, err := r.facts(q)
	if err != nil {
		return nil, err
	}
	resource := "arn:aws:s3:::" + q.bucket.Name
	if policy.OnObject(q.action) {
		resource += "/" + q.key
	}
	return &policy.Request{Caller: f.Caller, Action: q.action, Resource: resource, Context: policy.NewContext(f)}, nil
}

// resource names what is asked about, as identity policies do: the service is every bucket.
func (q *question) resource(r *Request) string {
	const prefix = "arn:aws:s3:::"
	switch {
	case q.bucket == nil && r.Bucket == "":
		return prefix + "*"
	case q.bucket == nil: // it is to be made
		return prefix + r.Bucket
	case policy.OnObject(q.action):
		return prefix + q.bucket.Name + "/" + q.key
	}
	return prefix + q.bucket.Name
}

// facts are what the conditions of policies can ask for.
func (r *Request) facts(q question) (*policy.Facts, error) {
	f := &policy.Facts{
		Action: q.action, Now: r.server.Now(), Region: r.server.Region, Header: r.Header, Query: r.Query, Version: q.version,
	}
	if q.action == "s3:PutObject" {
		f.Creation = r.op.creation()
	}
	if q.bucket != nil {
		owner, err := r.view.Account(q.bucket.Owner)
		if err != nil {
			return nil, err
		}
		f.ResourceAccount = owner.GetAccount()
	}
	r.callerFacts(f)
	if peer, err := netip.ParseAddrPort(r.HTTP.RemoteAddr); err == nil {
		f.Peer = peer.Addr()
	}
	if r.HTTP.TLS != nil {
		f.Secure, f.TLSVersion = true, tlsVersion(r.HTTP.TLS.Version)
	}
	if id := r.identity; id != nil {
		f.AuthType, f.SignatureVersion, f.Signed = id.Form.AuthType(), id.Form.SignatureVersion(), id.Time
		f.ContentSHA256 = id.ContentSHA256()
	}
	if q.listed != "" {
		f.Prefix = &q.listed
	}
	if q.object != nil {
		f.ExistingTags = policyTags(q.object.Tags)
	}
	r.headerFacts(f)
	return f, nil
}

// headerFacts reads the facts that take more than a header's text. What is malformed
// is not known; the operation itself refuses it.
func (r *Request) headerFacts(f *policy.Facts) {
	if v := r.Header.Get("X-Amz-Copy-Source"); v != "" {
		if bucket, key, _, err := parseCopySource(v); err == nil {
			f.CopySource = bucket + "/" + key
		}
	}
	r.setFacts(f)
}

func policyTags(tags *event.Tags) []policy.Tag {
	var out []policy.Tag
	for _, t := range tags.GetTags() {
		out = append(out, policy.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

// tlsVersion is a version of TLS as s3:TlsVersion has it.
func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "1.0"
	case tls.VersionTLS11:
		return "1.1"
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return ""
}
