package access

import (
	"errors"
	"io"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// Decode reads the body of PutBucketAcl or PutObjectAcl; nil for an empty one. What
// is no such document is MalformedACLError.
func Decode(body io.Reader, limit int64) (*s3xml.AccessControlPolicy, error) {
	doc := new(s3xml.AccessControlPolicy)
	err := s3xml.Decode(body, limit, doc)
	var bad *s3xml.Error
	switch {
	case err == nil:
		return doc, nil
	case err == s3xml.ErrEmpty:
		return nil, nil
	case errors.As(err, &bad) && bad.Code == "MalformedXML":
		return nil, malformed(err)
	}
	return nil, err
}

// ForPut gives the list that PutBucketAcl or PutObjectAcl asks for: by headers, or by
// doc (nil: an empty body). Both are UnexpectedContent, neither MissingSecurityHeader.
func ForPut(h Headers, doc *s3xml.AccessControlPolicy, s Subject, a Accounts) (*event.ACL, error) {
	acl, err := FromHeaders(h, s, a)
	switch {
	case err != nil:
		return nil, err
	case acl != nil && doc != nil:
		return nil, s3err.New("UnexpectedContent")
	case acl != nil:
		return acl, nil
	case doc == nil:
		return nil, s3err.New("MissingSecurityHeader").With("MissingHeaderName", "x-amz-acl")
	}
	return FromDocument(doc, s, a)
}

// FromDocument gives the list that a document asks for. It must name the resource's
// owner: an access control list cannot give a resource away.
func FromDocument(doc *s3xml.AccessControlPolicy, s Subject, a Accounts) (*event.ACL, error) {
	grants := doc.AccessControlList.Grants
	switch {
	case doc.Owner == nil || doc.Owner.ID == "":
		return nil, malformed(errors.New("no owner"))
	case len(grants) > MaxGrants:
		return nil, malformed(errors.New("too many grants"))
	case doc.Owner.ID != s.Owner:
		return nil, s3err.New("AccessDenied")
	}
	acl := &event.ACL{Owner: s.Owner}
	for i := range grants {
		permission := permissionByName(grants[i].Permission)
		who, ok := named(&grants[i].Grantee)
		if permission == none || !ok {
			return nil, malformed(errors.New("a grant is not valid"))
		}
		grant, err := who.resolve(a, permission, "CanonicalUser/ID")
		if err != nil {
			return nil, err
		}
		acl.Grants = append(acl.Grants, grant)
	}
	return acl, nil
}

// named takes the one name that the grantee's type calls for. A display name is
// ignored, any other beside it refused.
func named(g *s3xml.Grantee) (who grantee, ok bool) {
	switch g.Type {
	case s3xml.CanonicalUser:
		return grantee{id: g.ID}, g.ID != "" && g.EmailAddress == "" && g.URI == ""
	case s3xml.AmazonCustomerByEmail:
		return grantee{email: g.EmailAddress}, g.EmailAddress != "" && g.ID == "" && g.URI == ""
	case s3xml.Group:
		return grantee{uri: g.URI}, g.URI != "" && g.ID == "" && g.EmailAddress == ""
	}
	return grantee{}, false
}

func malformed(cause error) error { return s3err.New("MalformedACLError").Because(cause) }

// Document gives the list as GetBucketAcl and GetObjectAcl answer: grants to groups
// first, then those to accounts, each in their order. name gives an account's display
// name by canonical id, "" where it has none any more.
func Document(acl *event.ACL, name func(canonicalID string) string) *s3xml.AccessControlPolicy {
	doc := &s3xml.AccessControlPolicy{Owner: &s3xml.Owner{ID: acl.GetOwner(), DisplayName: name(acl.GetOwner())}}
	grants := make([]s3xml.Grant, 0, len(acl.GetGrants()))
	for _, g := range acl.GetGrants() {
		if g.GetGroup() != event.Group_GROUP_UNSPECIFIED {
			grants = append(grants, s3xml.Grant{
				Grantee:    s3xml.Grantee{Type: s3xml.Group, URI: groupURI(g.GetGroup())},
				Permission: permissionName(g.GetPermission()),
			})
		}
	}
	for _, g := range acl.GetGrants() {
		if g.GetGroup() == event.Group_GROUP_UNSPECIFIED {
			grants = append(grants, s3xml.Grant{
				Grantee:    s3xml.Grantee{Type: s3xml.CanonicalUser, ID: g.GetGrantee(), DisplayName: name(g.GetGrantee())},
				Permission: permissionName(g.GetPermission()),
			})
		}
	}
	doc.AccessControlList.Grants = grants
	return doc
}
