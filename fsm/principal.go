package fsm

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// Limits are Amazon's defaults.
const (
	maxUsers         = 5000 // of an account
	maxGroups        = 300
	maxRoles         = 1000
	maxProviders     = 100
	maxGroupsPerUser = 10
	maxKeysPerUser   = 2
	maxOwnKeys       = 10 // of an account itself
	maxVaultTags     = 50 // of a principal or a policy
	maxDescription   = 1000
	minSession       = 3600 // seconds
	maxSession       = 12 * 3600
	maxTrust         = 2048  // bytes that are not white space
	maxTrustBytes    = 16384 // all of them
	maxProvider      = 255   // of a provider's name
	maxBelieved      = 32768 // bytes of what is believed of a provider
)

// vaultLevel is the feature level from which principals have names in an index.
const vaultLevel = 3

func (t *tx) hasVault() bool { return t.cluster().GetFeatureLevel() >= vaultLevel }

// validEntity tells whether a name may be that of a principal or policy: letters,
// digits and +=,.@_-
func validEntity(name string, longest int) bool {
	if name == "" || len(name) > longest {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("+=,.@_-", c) < 0 {
			return false
		}
	}
	return true
}

// validPrincipal tells whether a name may be that of a kind of principal.
func validPrincipal(k event.PrincipalKind, name string) bool {
	switch k {
	case event.PrincipalKind_PRINCIPAL_KIND_USER, event.PrincipalKind_PRINCIPAL_KIND_ROLE:
		return validEntity(name, 64)
	case event.PrincipalKind_PRINCIPAL_KIND_GROUP:
		return validEntity(name, 128)
	case event.PrincipalKind_PRINCIPAL_KIND_PROVIDER:
		return validProvider(name)
	}
	return false
}

// validProvider tells whether a name may be that of a provider: a URL without scheme.
func validProvider(name string) bool {
	if name == "" || len(name) > maxProvider {
		return false
	}
	for i := range len(name) {
		if name[i] < 0x21 || name[i] > 0x7e {
			return false
		}
	}
	return true
}

// validPath tells whether a path is "/" or "/a/b/".
func validPath(p string) bool {
	if len(p) > 512 || !strings.HasPrefix(p, "/") || !strings.HasSuffix(p, "/") {
		return false
	}
	for i := range len(p) {
		if p[i] < 0x21 || p[i] > 0x7e {
			return false
		}
	}
	return true
}

// isUser counts those of a cluster below the vault's level among the users.
func (x *Principal) isUser() bool {
	return x != nil && (x.Kind == event.PrincipalKind_PRINCIPAL_KIND_USER || x.Kind == event.PrincipalKind_PRINCIPAL_KIND_UNSPECIFIED)
}

func (t *tx) principalCreated(p *event.Parsed, b *event.PrincipalCreated) *event.Outcome {
	x := &Principal{Principal: b.Principal, Account: b.Account, Kind: b.Kind, Time: t.time}
	if r := t.describePrincipal(x, p, b.Path, b.MaxSession, b.Boundary); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	return t.addPrincipal(x)
}

// describePrincipal takes over what an event says of a principal: all that can change.
func (t *tx) describePrincipal(x *Principal, p *event.Parsed, path string, session uint32, boundary string) event.Refusal {
	x.Path, x.MaxSession, x.Boundary = path, session, boundary
	x.Name, x.Description = p.Text(event.ItemKind_ITEM_KIND_NAME, 0), p.Text(event.ItemKind_ITEM_KIND_NAME, 1)
	x.Trust, _ = p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	x.Trust = slices.Clone(x.Trust)
	role := x.Kind == event.PrincipalKind_PRINCIPAL_KIND_ROLE
	group := x.Kind == event.PrincipalKind_PRINCIPAL_KIND_GROUP
	provider := x.Kind == event.PrincipalKind_PRINCIPAL_KIND_PROVIDER
	switch {
	case x.Principal == "" || !validName(x.Principal) || !validPrincipal(x.Kind, x.Name) || !validPath(path),
		len(x.Description) > maxDescription || !validName(x.Description),
		!role && (session != 0 || x.Description != "") || (role || provider) != (len(x.Trust) > 0),
		role && (session < minSession || session > maxSession),
		provider && path != "/",
		(group || provider) && boundary != "" || !validName(boundary):
		return event.Refusal_REFUSAL_INVALID
	case provider && len(x.Trust) > maxBelieved,
		!provider && (weigh(x.Trust) > maxTrust || len(x.Trust) > maxTrustBytes):
		return event.Refusal_REFUSAL_LIMIT_EXCEEDED
	}
	var r event.Refusal
	x.Tags, r = t.vaultTags(p)
	return r
}

// vaultTags reads an event's tags; nil: it has none.
func (t *tx) vaultTags(p *event.Parsed) (*event.Tags, event.Refusal) {
	b, ok := p.Item(event.ItemKind_ITEM_KIND_TAGS, 0)
	if !ok {
		return nil, event.Refusal_REFUSAL_NONE
	}
	tags := &event.Tags{}
	if err := event.Decode(b, tags); err != nil {
		return nil, t.undecodable(err)
	}
	if len(tags.Tags) > maxVaultTags {
		return nil, event.Refusal_REFUSAL_LIMIT_EXCEEDED
	}
	return tags, event.Refusal_REFUSAL_NONE
}

// weigh is the length of a policy as its limits count it: without white space.
func weigh(text []byte) int {
	n := 0
	for _, c := range text {
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			n++
		}
	}
	return n
}

// addPrincipal makes a principal that describes itself well.
func (t *tx) addPrincipal(x *Principal) *event.Outcome {
	if !t.has(keyText(tableAccountID, x.Account)) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	name := nameKey(x.Account, x.Kind, x.Name)
	if t.has(keyText(tableUser, x.Principal)) || t.has(name) {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	if !t.bound(x, x.Boundary, 1) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	if !t.tally(x.Account, func(v *Vault) bool { return v.add(x.Kind) }) {
		return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
	}
	t.set(keyText(tableUser, x.Principal), x)
	t.setRaw(name, []byte(x.Principal))
	return accept()
}

// add counts one more principal; false: there may be no more.
func (v *Vault) add(k event.PrincipalKind) bool {
	n, most := v.principals(k)
	*n++
	return *n <= most
}

func (v *Vault) principals(k event.PrincipalKind) (n *uint64, most uint64) {
	switch k {
	case event.PrincipalKind_PRINCIPAL_KIND_GROUP:
		return &v.Groups, maxGroups
	case event.PrincipalKind_PRINCIPAL_KIND_ROLE:
		return &v.Roles, maxRoles
	case event.PrincipalKind_PRINCIPAL_KIND_PROVIDER:
		return &v.Providers, maxProviders
	}
	return &v.Users, maxUsers
}

// tally changes what an account has. Whoever gets false refuses the event.
func (t *tx) tally(account string, change func(*Vault) bool) bool {
	k := keyText(tableVault, account)
	v := get[Vault](t, k)
	if v == nil {
		v = &Vault{}
	}
	if !change(v) {
		return false
	}
	if v.Users == 0 && v.Groups == 0 && v.Roles == 0 && v.Policies == 0 && v.Providers == 0 {
		t.delete(k)
		return true
	}
	t.set(k, v)
	return true
}

// Portrait is a digest of all that a PrincipalChanged replaces: who makes one names by it
// what it was made from.
func (x *Principal) Portrait() []byte {
	sum := digest.SHA256(event.Canonical(&Principal{
		Name: x.Name, Path: cmp.Or(x.Path, "/"), Description: x.Description, Trust: x.Trust, MaxSession: x.MaxSession,
		Boundary: x.Boundary, Tags: x.Tags,
	}))
	return sum[:]
}

// principalChanged replaces what can change, the name among it. Of two that were made
// from one reading the second is refused: it would undo the first.
func (t *tx) principalChanged(p *event.Parsed, b *event.PrincipalChanged) *event.Outcome {
	k := keyText(tableUser, b.Principal)
	x := get[Principal](t, k)
	if x == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	t.normalise(x)
	if len(b.Was) > 0 && !bytes.Equal(b.Was, x.Portrait()) {
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	before, boundary := nameKey(x.Account, x.Kind, x.Name), x.Boundary
	if r := t.describePrincipal(x, p, b.Path, b.MaxSession, b.Boundary); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	after := nameKey(x.Account, x.Kind, x.Name)
	if holder := t.raw(after); holder != nil && string(holder) != x.Principal {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	if boundary != x.Boundary && !(t.bound(x, boundary, -1) && t.bound(x, x.Boundary, 1)) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	if string(t.raw(before)) == x.Principal {
		t.delete(before)
	}
	t.setRaw(after, []byte(x.Principal))
	t.set(k, x)
	return accept()
}

// normalise makes a user of a cluster below the vault's level one like all others.
func (t *tx) normalise(x *Principal) {
	if x.Kind == event.PrincipalKind_PRINCIPAL_KIND_UNSPECIFIED {
		x.Kind, x.Path = event.PrincipalKind_PRINCIPAL_KIND_USER, "/"
	}
}

// principalDeleted removes a principal that nothing refers to any more.
func (t *tx) principalDeleted(b *event.PrincipalDeleted) *event.Outcome {
	k := keyText(tableUser, b.Principal)
	x := get[Principal](t, k)
	if x == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	t.normalise(x)
	if len(x.Groups) > 0 || len(x.Policies) > 0 || x.InlineBytes > 0 ||
		t.any(ownKeys(x.Account, x.Principal)) || t.any(keyEscaped(tableMember, x.Principal)) {
		return refuse(event.Refusal_REFUSAL_IN_USE)
	}
	t.bound(x, x.Boundary, -1)
	t.tally(x.Account, func(v *Vault) bool {
		n, _ := v.principals(x.Kind)
		*n--
		return true
	})
	if name := nameKey(x.Account, x.Kind, x.Name); string(t.raw(name)) == x.Principal {
		t.delete(name)
	}
	t.delete(k)
	return accept()
}

// membersChanged takes users into a group, or out of it.
func (t *tx) membersChanged(b *event.MembersChanged) *event.Outcome {
	g := get[Principal](t, keyText(tableUser, b.Group))
	if g == nil || g.Kind != event.PrincipalKind_PRINCIPAL_KIND_GROUP {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	if !validChanges(b.Add, b.Remove) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	for _, id := range b.Remove {
		u := t.userOf(g.Account, id)
		if u == nil || !remove(&u.Groups, g.Principal) {
			return refuse(event.Refusal_REFUSAL_NOT_FOUND)
		}
		t.set(keyText(tableUser, id), u)
		t.delete(memberKey(g.Principal, id))
	}
	for _, id := range b.Add {
		u := t.userOf(g.Account, id)
		if u == nil {
			return refuse(event.Refusal_REFUSAL_NOT_FOUND)
		}
		if insert(&u.Groups, g.Principal); len(u.Groups) > maxGroupsPerUser {
			return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
		}
		t.set(keyText(tableUser, id), u)
		t.setRaw(memberKey(g.Principal, id), []byte{})
	}
	return accept()
}

// userOf is a user of an account; nil: there is none.
func (t *tx) userOf(account, id string) *Principal {
	u := get[Principal](t, keyText(tableUser, id))
	if !u.isUser() || u.Account != account {
		return nil
	}
	return u
}

// maxChanges bounds what one event adds and removes.
const maxChanges = 100

// validChanges refuses lists that are empty, long, or name something twice.
func validChanges(add, remove []string) bool {
	n := len(add) + len(remove)
	if n == 0 || n > maxChanges {
		return false
	}
	all := slices.Concat(add, remove)
	slices.Sort(all)
	return len(slices.Compact(all)) == n
}

// insert puts s into a sorted list; false: it is there.
func insert(list *[]string, s string) bool {
	i, found := slices.BinarySearch(*list, s)
	if !found {
		*list = slices.Insert(*list, i, s)
	}
	return !found
}

// remove takes s out of a sorted list; false: it is not there.
func remove(list *[]string, s string) bool {
	i, found := slices.BinarySearch(*list, s)
	if found {
		*list = slices.Delete(*list, i, i+1)
	}
	return found
}
