package access

import (
	"testing"

	"ironman/wal/event"
)

func TestDeliversLogs(t *testing.T) {
	const full = event.Permission_PERMISSION_FULL_CONTROL
	to := func(p ...event.Permission) *event.ACL {
		acl := &event.ACL{Owner: oo, Grants: []*event.Grant{{Grantee: oo, Permission: full}}}
		for _, p := range p {
			acl.Grants = append(acl.Grants, &event.Grant{Group: event.Group_GROUP_LOG_DELIVERY, Permission: p})
		}
		return acl
	}
	everybody := &event.ACL{Owner: oo, Grants: []*event.Grant{{Group: event.Group_GROUP_ALL_USERS, Permission: full}}}
	for i, c := range []struct {
		acl      *event.ACL
		position uint32
		ok       bool
	}{
		{nil, 0, false}, {to(), 0, false}, {to(write), 1, false}, {to(readACP), 0, false}, {to(readACP, write), 2, true},
		{to(write, readACP), 1, true}, {to(read, full), 2, true}, {everybody, 0, false},
	} {
		if position, ok := DeliversLogs(c.acl); ok != c.ok || position != c.position {
			t.Errorf("%d: %d %v", i, position, ok)
		}
	}
}
