package access

import (
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// Verdict is what policies say of a request, taken together.
type Verdict uint8

// No policy speaks of it, one allows it, or one denies it.
const (
	Silent Verdict = iota
	Allow
	Deny
)

// Opinion is a verdict and the statement it rests on.
type Opinion struct {
	Verdict   Verdict
	Policy    string
	Statement string
	Position  uint32 // of the statement in its policy, from 0
	// Direct: the statement names the user or the session itself, not only its
	// account, its role or everybody.
	Direct bool
}

// Resource is a bucket or an object, as far as access goes.
type Resource struct {
	Owner string // canonical id
	ACL   *event.ACL
}

// Upload is a multipart upload, as far as access goes.
type Upload struct {
	Owner     string // canonical id of the initiator's account
	Initiator string // principal id
}

// Request is an action on resources, all seen at one view.
type Request struct {
	// Action is Amazon's name of it ("s3:GetObject").
	Action string
	Bucket Resource
	// Object is nil where there is none (yet): no owner and no grant then speaks.
	Object *Resource
	// Upload is nil but for actions on a multipart upload.
	Upload *Upload

	// Identity is what the user's own policies say; an account itself needs none.
	Identity Opinion
	// Boundary and Session are what bounds the principal: the policy that is the
	// boundary of the user or role, and those that its session was begun with. nil:
	// there is none, and nothing is bounded.
	Boundary, Session *Opinion
	// BucketPolicy is what the bucket's policy says.
	BucketPolicy Opinion
	// PolicyConfirmed: it was confirmed that the bucket's policy may keep the owner's
	// account from the policy itself.
	PolicyConfirmed bool
	// ACLsDisabled: object ownership is BucketOwnerEnforced. No grant counts, and
	// every object is the bucket owner's.
	ACLsDisabled bool
	// IgnorePublicACLs: the public access block has grants to all users and to all
	// authenticated users count for nothing.
	IgnorePublicACLs bool
}

// Decision is an answer and its ground.
type Decision struct {
	Allowed bool
	// Denied: a policy denies it outright. Not every refusal is one.
	Denied bool
	// Kind is the ground of an allowance; the rest points at the grant or statement.
	Kind      event.ReasonKind
	Position  uint32
	Policy    string
	Statement string
}

// Reason is the ground for the event's header; view is the applied sequence + 1 at
// which everything in the request was seen.
func (d Decision) Reason(view uint64) *event.Reason {
	return &event.Reason{Kind: d.Kind, View: view, Position: d.Position, Policy: d.Policy, Statement: d.Statement}
}

// Err is nil if the decision allows, else AccessDenied.
func (d Decision) Err() error {
	if d.Allowed {
		return nil
	}
	return s3err.New("AccessDenied")
}

// Decide says whether p may do r, and why.
func Decide(p Principal, r *Request) Decision {
	rule, ok := find(r.Action)
	if !ok {
		return Decision{}
	}
	if r.denied(p) {
		return Decision{Denied: true}
	}
	if p.Root && p.User == "" && !p.Anonymous() && r.bounded() {
		return allowed(event.ReasonKind_REASON_KIND_ROOT)
	}
	if rule.scope == onService {
		return decideService(p, r)
	}
	if r.Upload != nil && rule.owners&uploader == 0 && !r.partakes(p) {
		return Decision{}
	}
	if rule.owned(p, r) && r.lets(p) {
		if p.User == "" {
			return allowed(event.ReasonKind_REASON_KIND_OWNER)
		}
		return r.Identity.allow(event.ReasonKind_REASON_KIND_IDENTITY_POLICY)
	}
	if r.BucketPolicy.Verdict == Allow && rule.policyCounts(r) && r.mayTake(p) {
		return r.BucketPolicy.allow(event.ReasonKind_REASON_KIND_BUCKET_POLICY)
	}
	return rule.decideACL(p, r)
}

func allowed(kind event.ReasonKind) Decision { return Decision{Allowed: true, Kind: kind} }

func (o Opinion) allow(kind event.ReasonKind) Decision {
	return Decision{Allowed: true, Kind: kind, Position: o.Position, Policy: o.Policy, Statement: o.Statement}
}

// decideService: what has no resource yet is open to every account, and to users by
// its policies.
func decideService(p Principal, r *Request) Decision {
	switch {
	case p.Anonymous() || !r.lets(p):
		return Decision{}
	case p.User == "":
		return allowed(event.ReasonKind_REASON_KIND_ACCOUNT)
	}
	return r.Identity.allow(event.ReasonKind_REASON_KIND_IDENTITY_POLICY)
}

// denied reports whether any policy denies outright. A bucket's policy cannot lock out
// its owner's account for good: that may always see and replace the policy itself, unless
// it was confirmed that it shall not; then root may.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
func (r *Request) denied(p Principal) bool {
	for _, o := range [...]*Opinion{&r.Identity, r.Boundary, r.Session} {
		if o != nil && o.Verdict == Deny {
			return true
		}
	}
	if r.BucketPolicy.Verdict != Deny {
		return false
	}
	switch r.Action {
	case "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy":
		if r.PolicyConfirmed {
			return p.User != "" || !p.Root
		}
		return p.User != "" || !p.is(r.Bucket.Owner)
	}
	return true
}

// bounded reports whether what bounds the principal, if anything, leaves room for the action.
func (r *Request) bounded() bool {
	return (r.Boundary == nil || r.Boundary.Verdict == Allow) && (r.Session == nil || r.Session.Verdict == Allow)
}

// mayTake reports whether p may use what the bucket's policy allows: of another account
// with the leave of its own; of the bucket owner's without, but within its bounds,
// unless the policy names the user or session itself.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
func (r *Request) mayTake(p Principal) bool {
	if p.is(r.Bucket.Owner) {
		return r.BucketPolicy.Direct || r.bounded()
	}
	return r.lets(p)
}

// lets reports whether p's own account lets it act at all: others can grant an
// account something, but not make its users use it. Nobody stands behind anonymous.
func (r *Request) lets(p Principal) bool {
	return p.Anonymous() || (p.User == "" || r.Identity.Verdict == Allow) && r.bounded()
}

// objectOwner is the canonical id of the object's owner; "" if there is no object.
func (r *Request) objectOwner() string {
	switch {
	case r.Object == nil:
		return ""
	case r.ACLsDisabled:
		return r.Bucket.Owner
	}
	return r.Object.Owner
}

// owned reports whether p is of an account that needs no grant.
func (u rule) owned(p Principal, r *Request) bool {
	if u.owners&bucketOwner != 0 && p.is(r.Bucket.Owner) || u.owners&objectOwner != 0 && p.is(r.objectOwner()) {
		return true
	}
	if u.owners&uploader == 0 || r.Upload == nil || p.Anonymous() {
		return false
	}
	return p.ID() == r.Upload.Initiator || p.User == "" && p.is(r.Upload.Owner)
}

// partakes reports whether p is of an account that may go on with the upload: its
// initiator's, or the bucket owner's. (Where the object will be the bucket owner's, of
// the initiator's account only the initiator may.) Whoever else may write in the bucket may not put
// bytes into an object that will be the initiator's.
func (r *Request) partakes(p Principal) bool {
	return p.is(r.Bucket.Owner) || p.is(r.Upload.Owner) || !p.Anonymous() && p.ID() == r.Upload.Initiator
}

// policyCounts: a bucket's policy cannot give away objects that are not its owner's.
func (u rule) policyCounts(r *Request) bool {
	return u.scope != onObject || r.Object == nil || r.objectOwner() == r.Bucket.Owner
}

// decideACL finds the first grant that allows.
func (u rule) decideACL(p Principal, r *Request) Decision {
	acl := r.Bucket.ACL
	if u.scope == onObject {
		if r.Object == nil {
			return Decision{}
		}
		acl = r.Object.ACL
	}
	if u.grant == none || r.ACLsDisabled {
		return Decision{}
	}
	for i, g := range acl.GetGrants() {
		if gives(g.GetPermission(), u.grant) && r.meets(p, g) {
			d := allowed(event.ReasonKind_REASON_KIND_ACL_GRANT)
			d.Position = uint32(i)
			return d
		}
	}
	return Decision{}
}

func gives(granted, wanted event.Permission) bool {
	return granted == wanted || granted == event.Permission_PERMISSION_FULL_CONTROL
}

// meets reports whether the grant is to p. What is granted to all needs nobody's
// leave: whoever is not let could as well not sign.
func (r *Request) meets(p Principal, g *event.Grant) bool {
	switch g.GetGroup() {
	case event.Group_GROUP_UNSPECIFIED:
		return p.is(g.GetGrantee()) && r.lets(p)
	case event.Group_GROUP_ALL_USERS:
		return !r.IgnorePublicACLs
	case event.Group_GROUP_AUTHENTICATED_USERS:
		return !r.IgnorePublicACLs && !p.Anonymous() && r.lets(p)
	}
	return false // log delivery is no principal of a request
}

// Absent is the answer where the object, version or upload that was asked for is not
// there: only who may list the bucket is told so (by code, such as NoSuchKey); to
// others what is missing looks like what is forbidden. asked is the decision on the
// action itself, with no object; list that on s3:ListBucket.
func Absent(asked, list Decision, code string) *s3err.Error {
	if asked.Denied || !list.Allowed {
		return s3err.New("AccessDenied")
	}
	return s3err.New(code)
}

// Public reports whether acl grants anything to all users or to all authenticated
// users: what a public access block forbids or ignores.
func Public(acl *event.ACL) bool {
	for _, g := range acl.GetGrants() {
		switch g.GetGroup() {
		case event.Group_GROUP_ALL_USERS, event.Group_GROUP_AUTHENTICATED_USERS:
			return true
		}
	}
	return false
}

// DeliversLogs reports whether the list lets the log delivery group in, as a bucket's must
// that access logs are kept in, and which of its grants does.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
func DeliversLogs(acl *event.ACL) (position uint32, ok bool) {
	writes, reads := -1, false
	for i, g := range acl.GetGrants() {
		if g.GetGroup() != event.Group_GROUP_LOG_DELIVERY {
			continue
		}
		if writes < 0 && gives(g.GetPermission(), write) {
			writes = i
		}
		reads = reads || gives(g.GetPermission(), readACP)
	}
	return uint32(max(writes, 0)), writes >= 0 && reads
}
