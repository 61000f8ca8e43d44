package access

import (
	"strings"

	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// MaxGrants is how many grants an access control list may hold.
const MaxGrants = 100

// Headers are those of a request; http.Header is one. Names are canonical.
type Headers interface {
	Values(name string) []string
}

// grantHeaders are the headers that grant, in the order their grants are kept.
var grantHeaders = [...]struct {
	name       string
	permission event.Permission
}{
	{"X-Amz-Grant-Read", read},
	{"X-Amz-Grant-Write", write},
	{"X-Amz-Grant-Read-Acp", readACP},
	{"X-Amz-Grant-Write-Acp", writeACP},
	{"X-Amz-Grant-Full-Control", event.Permission_PERMISSION_FULL_CONTROL},
}

// HasHeaders reports whether headers ask for an access control list.
func HasHeaders(h Headers) bool {
	for _, header := range grantHeaders {
		if len(h.Values(header.name)) > 0 {
			return true
		}
	}
	return len(h.Values("X-Amz-Acl")) > 0
}

// ForCreate gives the list of a resource that is being made: from its headers, or
// private where they say nothing.
func ForCreate(h Headers, s Subject, a Accounts) (*event.ACL, error) {
	acl, err := FromHeaders(h, s, a)
	if err == nil && acl == nil {
		return Canned("private", s)
	}
	return acl, err
}

// FromHeaders gives the list that x-amz-acl or the headers x-amz-grant-* ask for;
// nil where there are none. With grants the owner has only what they grant. Both
// kinds at once are InvalidRequest.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
func FromHeaders(h Headers, s Subject, a Accounts) (*event.ACL, error) {
	canned := strings.Join(h.Values("X-Amz-Acl"), ",") // as policies see it: what is trimmed here a Deny would not match
	acl := &event.ACL{Owner: s.Owner}
	for _, header := range grantHeaders {
		value := strings.TrimSpace(strings.Join(h.Values(header.name), ","))
		if value == "" {
			continue
		}
		if canned != "" {
			return nil, s3err.Newf("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
		}
		where := strings.ToLower(header.name)
		grantees, ok := parseGrantees(value)
		if !ok {
			return nil, s3err.InvalidArgument(where, value, "Argument format not recognized")
		}
		if len(acl.Grants)+len(grantees) > MaxGrants {
			return nil, s3err.Newf("InvalidRequest", "An access control list can hold at most %d grants.", MaxGrants)
		}
		for _, g := range grantees {
			grant, err := g.resolve(a, header.permission, where)
			if err != nil {
				return nil, err
			}
			acl.Grants = append(acl.Grants, grant)
		}
	}
	switch {
	case canned != "":
		return Canned(canned, s)
	case len(acl.Grants) > 0:
		return acl, nil
	}
	return nil, nil
}

// parseGrantees reads id="...", uri="...", emailAddress="..." in any number; quotes
// may be left out. It stops at one more than a list may hold.
func parseGrantees(value string) (grantees []grantee, ok bool) {
	for len(grantees) <= MaxGrants {
		kind, rest, found := strings.Cut(value, "=")
		if !found {
			return nil, false
		}
		rest = strings.TrimLeft(rest, " \t")
		var name string
		if quoted, isQuoted := strings.CutPrefix(rest, `"`); isQuoted {
			if name, rest, found = strings.Cut(quoted, `"`); !found {
				return nil, false
			}
			rest = strings.TrimLeft(rest, " \t")
		} else {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			name, rest = strings.TrimRight(rest[:end], " \t"), rest[end:]
		}
		if name == "" || strings.ContainsAny(name, "\",") {
			return nil, false
		}
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "id":
			grantees = append(grantees, grantee{id: name})
		case "uri":
			grantees = append(grantees, grantee{uri: name})
		case "emailaddress":
			grantees = append(grantees, grantee{email: name})
		default:
			return nil, false
		}
		if rest == "" {
			return grantees, true
		}
		if value, found = strings.CutPrefix(rest, ","); !found {
			return nil, false
		}
	}
	return grantees, true
}
