package s3api

import (
	"bytes"

	"ironman/fsm"
	"ironman/s3api/access"
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

// newACL is the list that replaces another: of headers or of the body.
func (r *Request) newACL(owner, bucketOwner string, bucket bool) (*event.ACL, error) {
	b, err := r.readDocument(s3xml.MaxBody)
	if err != nil {
		return nil, err
	}
	doc, err := access.Decode(bytes.NewReader(b), s3xml.MaxBody)
	if err != nil {
		return nil, err
	}
	return access.ForPut(r.Header, doc, subject(owner, bucketOwner, bucket), accounts{r.view})
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
