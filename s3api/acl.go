package s3api

import (
	"bytes"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// accounts resolves grantees at the request's view.
type accounts struct{ view *fsm.View }

func (a accounts) ByCanonicalID(id string) (access.Account, bool, error) {
	return found(a.view.Account(id))
}

func (a accounts) ByEmail(address string) (access.Account, bool, error) {
	return found(a.view.AccountByEmail(address))
}

func found(a *fsm.Account, err error) (access.Account, bool, error) {
	if err != nil || a == nil {
		return access.Account{}, false, err
	}
	return access.Account{CanonicalID: a.CanonicalId, DisplayName: a.Name}, true, nil
}

func subject(owner, bucketOwner string, bucket bool) access.Subject {
	if bucket {
		return access.Subject{Target: access.Bucket, Owner: owner}
	}
	return access.Subject{Target: access.Object, Owner: owner, BucketOwner: bucketOwner}
}

// headerACL is the list of something new.
func (r *Request) headerACL(owner, bucketOwner string, bucket bool) (*event.ACL, error) {
	return access.ForCreate(r.Header, subject(owner, bucketOwner, bucket), accounts{r.view})
}

// newACL is the list that replaces another: of headers or of the body. nil: where lists
// are disabled, the one that there is anyway.
func (r *Request) newACL(document []byte, owner, bucketOwner string, bucket bool) (*event.ACL, error) {
	doc, err := access.Decode(bytes.NewReader(document), s3xml.MaxBody)
	if err != nil {
		return nil, err
	}
	rules, err := r.rules(r.bucket)
	if err != nil {
		return nil, err
	}
	if rules.aclsDisabled() {
		owner = r.bucket.Owner
	}
	acl, err := access.ForPut(r.Header, doc, subject(owner, bucketOwner, bucket), accounts{r.view})
	if err != nil {
		return nil, err
	}
	if rules.aclsDisabled() {
		return nil, r.refuseACL(acl)
	}
	return acl, rules.refusePublic(acl)
}

// newObjectACL settles whose a new object is, and its list.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
func (r *Request) newObjectACL() (owner string, acl *event.ACL, err error) {
	rules, err := r.rules(r.bucket)
	if err != nil {
		return "", nil, err
	}
	owner = r.principal.Owner()
	given := rules.ownership == s3xml.BucketOwnerPreferred && r.Header.Get("X-Amz-Acl") == bucketOwnerFullControl
	if rules.aclsDisabled() || given {
		owner = r.bucket.Owner
	}
	if acl, err = r.headerACL(owner, r.bucket.Owner, false); err != nil {
		return "", nil, err
	}
	if rules.aclsDisabled() {
		return owner, acl, r.refuseACL(acl)
	}
	return owner, acl, rules.refusePublic(acl)
}

// bucketOwnerFullControl is the canned list that may be named where lists are disabled.
const bucketOwnerFullControl = "bucket-owner-full-control"

// refuseACL refuses a list that says anything where lists are disabled.
func (r *Request) refuseACL(acl *event.ACL) error {
	canned := r.Header.Get("X-Amz-Acl")
	if canned != "" && canned != bucketOwnerFullControl || !ownerOnly(acl) {
		return s3err.New("AccessControlListNotSupported")
	}
	return nil
}

// ownerOnly tells whether a list gives its owner full control, and nobody anything else.
func ownerOnly(acl *event.ACL) bool {
	g := acl.GetGrants()
	return len(g) == 1 && g[0].GetGrantee() == acl.GetOwner() && g[0].GetPermission() == event.Permission_PERMISSION_FULL_CONTROL
}

// refusePublic refuses a public list that a public access block forbids.
func (b *bucketRules) refusePublic(acl *event.ACL) error {
	if b.block.BlockPublicACLs && access.Public(acl) {
		return s3err.New("AccessDenied")
	}
	return nil
}

// shownACL is a list as it counts: where lists are disabled, the bucket owner's alone.
func (r *Request) shownACL(acl *event.ACL) (*event.ACL, error) {
	if rules, err := r.shownRules(); err != nil || !rules.aclsDisabled() {
		return acl, err
	}
	return access.Canned("private", access.Subject{Owner: r.bucket.Owner})
}

// aclXML is a list as it is shown.
func (r *Request) aclXML(a *event.ACL) *s3xml.AccessControlPolicy {
	return access.Document(a, r.displayName)
}

// owner is an account as listings show it.
func (r *Request) owner(canonicalID string) *s3xml.Owner {
	return &s3xml.Owner{ID: canonicalID, DisplayName: r.displayName(canonicalID)}
}

// displayName is an account's name at the view; "" if it has none any more.
func (r *Request) displayName(canonicalID string) string {
	if name, ok := r.names[canonicalID]; ok {
		return name
	}
	a, err := r.view.Account(canonicalID)
	if err != nil {
		r.server.Logger.Warn("an account could not be read", "request", r.RequestID(), "err", err)
	}
	if r.names == nil {
		r.names = make(map[string]string)
	}
	r.names[canonicalID] = a.GetName()
	return a.GetName()
}
