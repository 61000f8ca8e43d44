package access

import (
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// Account is who an access control list names.
type Account struct {
	CanonicalID string
	DisplayName string
}

// Accounts finds accounts, at one view. ok is false where there is none; err is a
// failure of the lookup itself and ends the request. At most one account has an
// e-mail address.
type Accounts interface {
	ByCanonicalID(id string) (a Account, ok bool, err error)
	ByEmail(address string) (a Account, ok bool, err error)
}

// The groups, as grants name them.
const (
	allUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	authenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	logDelivery        = "http://acs.amazonaws.com/groups/s3/LogDelivery"
)

func groupByURI(uri string) event.Group {
	switch uri {
	case allUsers:
		return event.Group_GROUP_ALL_USERS
	case authenticatedUsers:
		return event.Group_GROUP_AUTHENTICATED_USERS
	case logDelivery:
		return event.Group_GROUP_LOG_DELIVERY
	}
	return event.Group_GROUP_UNSPECIFIED
}

func groupURI(g event.Group) string {
	switch g {
	case event.Group_GROUP_ALL_USERS:
		return allUsers
	case event.Group_GROUP_AUTHENTICATED_USERS:
		return authenticatedUsers
	case event.Group_GROUP_LOG_DELIVERY:
		return logDelivery
	}
	return ""
}

// grantee is one as a client named it: exactly one of the three.
type grantee struct {
	id, email, uri string
}

// resolve makes a grant. where names the argument in an error.
func (g grantee) resolve(a Accounts, p event.Permission, where string) (*event.Grant, error) {
	switch {
	case g.uri != "":
		group := groupByURI(g.uri)
		if group == event.Group_GROUP_UNSPECIFIED {
			return nil, s3err.InvalidArgument(where, g.uri, "Invalid group uri")
		}
		return &event.Grant{Group: group, Permission: p}, nil
	case g.email != "":
		account, ok, err := a.ByEmail(g.email)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, s3err.New("UnresolvableGrantByEmailAddress")
		}
		return &event.Grant{Grantee: account.CanonicalID, Permission: p}, nil
	}
	account, ok, err := a.ByCanonicalID(g.id)
	if err != nil {
		return nil, err
	}
	if !ok || g.id == "" {
		return nil, s3err.InvalidArgument(where, g.id, "Invalid id")
	}
	return &event.Grant{Grantee: account.CanonicalID, Permission: p}, nil
}

func permissionByName(name string) event.Permission {
	switch name {
	case "READ":
		return read
	case "WRITE":
		return write
	case "READ_ACP":
		return readACP
	case "WRITE_ACP":
		return writeACP
	case "FULL_CONTROL":
		return event.Permission_PERMISSION_FULL_CONTROL
	}
	return none
}

func permissionName(p event.Permission) string {
	switch p {
	case read:
		return "READ"
	case write:
		return "WRITE"
	case readACP:
		return "READ_ACP"
	case writeACP:
		return "WRITE_ACP"
	case event.Permission_PERMISSION_FULL_CONTROL:
		return "FULL_CONTROL"
	}
	return ""
}
