package fsm

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

const (
	tooMany = event.Refusal_REFUSAL_LIMIT_EXCEEDED
	inUse   = event.Refusal_REFUSAL_IN_USE
)

// modelVault is what the vault adds to the model. What can be counted is: members,
// attachments, sizes. Messages in it are never changed in place.
type modelVault struct {
	names    map[string]string // by key -> principal
	policies map[string]*Policy
	texts    map[string]map[uint32]*PolicyText // by policy and version
	inline   map[[2]string]*PolicyText         // by principal and name
}

func newModelVault() modelVault {
	return modelVault{map[string]string{}, map[string]*Policy{}, map[string]map[uint32]*PolicyText{}, map[[2]string]*PolicyText{}}
}

func (v modelVault) clone() modelVault {
	texts := map[string]map[uint32]*PolicyText{}
	for id, t := range v.texts {
		texts[id] = maps.Clone(t)
	}
	return modelVault{maps.Clone(v.names), maps.Clone(v.policies), texts, maps.Clone(v.inline)}
}

func (m *model) hasVault() bool { return m.cluster.GetFeatureLevel() >= 3 }

// openVault gives names to the users of before.
func (m *model) openVault() {
	for _, id := range slices.Sorted(maps.Keys(m.users)) {
		u := m.users[id]
		k := string(nameKey(u.Account, 1, u.Name))
		if entity.MatchString(u.Name) && len(u.Name) <= 64 && m.vault.names[k] == "" {
			m.vault.names[k] = id
		}
	}
}

func (m *model) tooManyKeys(account, user string) bool {
	n, most := 0, 2
	if user == "" {
		most = 10
	}
	for _, k := range m.keys {
		if k.Account == account && k.User == user {
			n++
		}
	}
	return n >= most
}

var (
	printable = regexp.MustCompile(`^[!-~]+$`)
	entity    = regexp.MustCompile(`^[a-zA-Z0-9+=,.@_-]+$`)
	path      = regexp.MustCompile(`^/([!-~]*/)?$`)
	white     = regexp.MustCompile(`[ \t\r\n]`)
)

func weight(text []byte) int { return len(white.ReplaceAll(text, nil)) }

func (m *model) accountByID(id string) *Account {
	for _, a := range m.accounts {
		if a.Account == id {
			return a
		}
	}
	return nil
}

func (m *model) vaultEvent(p *event.Parsed) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_NAME, 0)
	text, _ := p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	switch b := p.Statement.Body.(type) {
	case *event.Statement_PrincipalCreated:
		return m.addPrincipal(p, b.PrincipalCreated)
	case *event.Statement_PrincipalChanged:
		return m.changePrincipal(p, b.PrincipalChanged)
	case *event.Statement_PrincipalDeleted:
		return m.deletePrincipal(b.PrincipalDeleted.Principal)
	case *event.Statement_MembersChanged:
		return m.changeMembers(b.MembersChanged)
	case *event.Statement_PolicyCreated:
		return m.addPolicy(p, b.PolicyCreated)
	case *event.Statement_PolicyVersionCreated:
		return m.addVersion(b.PolicyVersionCreated, text)
	case *event.Statement_PolicyVersionDeleted:
		return m.deleteVersion(b.PolicyVersionDeleted)
	case *event.Statement_PolicyDefaultSet:
		return m.changePolicy(b.PolicyDefaultSet.Policy, func(x *Policy) event.Refusal {
			if m.vault.texts[x.Policy][b.PolicyDefaultSet.Version] == nil {
				return notFound
			}
			x.DefaultVersion = b.PolicyDefaultSet.Version
			return none
		})
	case *event.Statement_PolicyTagsSet:
		return m.tagPolicy(p, b.PolicyTagsSet)
	case *event.Statement_PolicyDeleted:
		return m.deletePolicy(b.PolicyDeleted.Policy)
	case *event.Statement_InlinePolicySet:
		return m.setInline(b.InlinePolicySet.Principal, name, text)
	case *event.Statement_PoliciesAttached:
		return m.attach(b.PoliciesAttached)
	case *event.Statement_AccountChanged:
		return m.changeAccount(b.AccountChanged.Account, name, p.Text(event.ItemKind_ITEM_KIND_NAME, 1))
	case *event.Statement_AccountDeleted:
		return m.deleteAccount(b.AccountDeleted.Account)
	case *event.Statement_AccessKeySealed:
		k := m.keys[b.AccessKeySealed.AccessKey]
		switch {
		case len(b.AccessKeySealed.SealedSecret) == 0:
			return refuse(invalid)
		case k == nil:
			return refuse(notFound)
		}
		k = proto.CloneOf(k)
		k.SealedSecret = b.AccessKeySealed.SealedSecret
		m.keys[k.AccessKey] = k
		return nil
	}
	panic("the model does not know an event")
}

// portrait is a principal as an event describes it.
func portrait(p *event.Parsed, old *Principal, where string, session uint32, boundary string) (*Principal, event.Refusal) {
	x := proto.CloneOf(old)
	x.Name, x.Description = p.Text(event.ItemKind_ITEM_KIND_NAME, 0), p.Text(event.ItemKind_ITEM_KIND_NAME, 1)
	x.Trust, _ = p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	x.Path, x.MaxSession, x.Boundary, x.Tags = where, session, boundary, nil
	longest := map[event.PrincipalKind]int{1: 64, 2: 128, 3: 64, 4: 255}[x.Kind]
	named := entity.MatchString(x.Name) || x.Kind == 4 && printable.MatchString(x.Name)
	ok := x.Principal != "" && text(x.Principal) && named && len(x.Name) <= longest && path.MatchString(where) &&
		len(where) <= 512 && text(x.Description) && len(x.Description) <= 1000 && text(boundary)
	switch x.Kind {
	case 3:
		ok = ok && session >= 3600 && session <= 43200 && len(x.Trust) > 0
	case 4:
		ok = ok && session == 0 && len(x.Trust) > 0 && x.Description == "" && boundary == "" && where == "/"
	default:
		ok = ok && session == 0 && len(x.Trust) == 0 && x.Description == "" && (x.Kind == 1 || boundary == "")
	}
	if !ok {
		return nil, invalid
	}
	if x.Kind != 4 && (weight(x.Trust) > 2048 || len(x.Trust) > 16384) || len(x.Trust) > 32768 {
		return nil, tooMany
	}
	var r event.Refusal
	x.Tags, r = tagsOf(p)
	return x, r
}

// tagsOf are the tags that an event says; nil: none.
func tagsOf(p *event.Parsed) (*event.Tags, event.Refusal) {
	b, ok := p.Item(event.ItemKind_ITEM_KIND_TAGS, 0)
	if !ok {
		return nil, none
	}
	tags := &event.Tags{}
	if event.Decode(b, tags) != nil {
		return nil, invalid
	}
	if len(tags.Tags) > 50 {
		return nil, tooMany
	}
	return tags, none
}

// hasPolicy tells whether an account may use a managed policy.
func (m *model) hasPolicy(account, id string) bool {
	return strings.HasPrefix(id, "arn:aws:iam::aws:policy/") && text(id) || m.vault.policies[id] != nil && m.vault.policies[id].Account == account
}

func (m *model) addPrincipal(p *event.Parsed, b *event.PrincipalCreated) *event.Outcome {
	x, r := portrait(p, &Principal{Principal: b.Principal, Account: b.Account, Kind: b.Kind, Time: m.now}, b.Path, b.MaxSession, b.Boundary)
	if r != none {
		return refuse(r)
	}
	k := string(nameKey(x.Account, x.Kind, x.Name))
	switch {
	case m.accountByID(b.Account) == nil:
		return refuse(notFound)
	case m.users[x.Principal] != nil || m.vault.names[k] != "":
		return refuse(exists)
	case x.Boundary != "" && !m.hasPolicy(x.Account, x.Boundary):
		return refuse(notFound)
	}
	m.users[x.Principal], m.vault.names[k] = x, x.Principal
	return nil
}

// principal is one, as of the vault.
func (m *model) principal(id string) *Principal {
	x := m.users[id]
	if x != nil && x.Kind == 0 {
		x = proto.CloneOf(x)
		x.Kind, x.Path = 1, "/"
	}
	return x
}

func (m *model) changePrincipal(p *event.Parsed, b *event.PrincipalChanged) *event.Outcome {
	old := m.principal(b.Principal)
	if old == nil {
		return refuse(notFound)
	}
	if len(b.Was) > 0 && string(b.Was) != string(old.Portrait()) {
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	x, r := portrait(p, old, b.Path, b.MaxSession, b.Boundary)
	if r != none {
		return refuse(r)
	}
	before, after := string(nameKey(x.Account, x.Kind, old.Name)), string(nameKey(x.Account, x.Kind, x.Name))
	if h := m.vault.names[after]; h != "" && h != x.Principal {
		return refuse(exists)
	}
	if x.Boundary != old.Boundary && x.Boundary != "" && !m.hasPolicy(x.Account, x.Boundary) {
		return refuse(notFound)
	}
	if m.vault.names[before] == x.Principal {
		delete(m.vault.names, before)
	}
	m.users[x.Principal], m.vault.names[after] = x, x.Principal
	return nil
}

func (m *model) deletePrincipal(id string) *event.Outcome {
	x := m.principal(id)
	if x == nil {
		return refuse(notFound)
	}
	used := len(x.Groups) > 0 || len(x.Policies) > 0
	for _, k := range m.keys {
		used = used || k.User == id && k.Account == x.Account
	}
	for at := range m.vault.inline {
		used = used || at[0] == id
	}
	for _, u := range m.users {
		used = used || slices.Contains(u.Groups, id)
	}
	if used {
		return refuse(inUse)
	}
	if k := string(nameKey(x.Account, x.Kind, x.Name)); m.vault.names[k] == id {
		delete(m.vault.names, k)
	}
	delete(m.users, id)
	return nil
}

// distinct tells whether lists name at most a hundred things, none twice, and any at all.
func distinct(lists ...[]string) bool {
	all := map[string]bool{}
	n := 0
	for _, l := range lists {
		for _, s := range l {
			all[s] = true
			n++
		}
	}
	return n > 0 && n <= 100 && len(all) == n
}

// without is a list without one of it.
func without[T comparable](list []T, one T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return x == one })
}

func with(list []string, s string) []string {
	l := append(without(list, s), s)
	slices.Sort(l)
	return l
}

func (m *model) changeMembers(b *event.MembersChanged) *event.Outcome {
	g := m.users[b.Group]
	switch {
	case g.GetKind() != 2:
		return refuse(notFound)
	case !distinct(b.Add, b.Remove):
		return refuse(invalid)
	}
	for i, id := range append(slices.Clone(b.Remove), b.Add...) {
		u := m.users[id]
		leaves := i < len(b.Remove)
		if u == nil || u.Kind > 1 || u.Account != g.Account || leaves && !slices.Contains(u.Groups, b.Group) {
			return refuse(notFound)
		}
		u = proto.CloneOf(u)
		if leaves {
			u.Groups = without(u.Groups, b.Group)
		} else {
			u.Groups = with(u.Groups, b.Group)
		}
		if len(u.Groups) > 10 {
			return refuse(tooMany)
		}
		m.users[id] = u
	}
	return nil
}

func textRefusal(text []byte) event.Refusal {
	switch {
	case len(text) == 0:
		return invalid
	case weight(text) > 6144 || len(text) > 4*6144:
		return tooMany
	}
	return none
}

func (m *model) addPolicy(p *event.Parsed, b *event.PolicyCreated) *event.Outcome {
	x := &Policy{
		Policy: b.Policy, Account: b.Account, Path: b.Path, Name: p.Text(event.ItemKind_ITEM_KIND_NAME, 0), Description: p.Text(event.ItemKind_ITEM_KIND_NAME, 1),
		Time: m.now, Updated: m.now, DefaultVersion: 1, LastVersion: 1,
	}
	doc, _ := p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	if x.Policy == "" || !text(x.Policy) || strings.HasPrefix(x.Policy, "arn:aws:iam::aws:policy/") || !entity.MatchString(x.Name) || len(x.Name) > 128 ||
		!path.MatchString(x.Path) || len(x.Path) > 512 || !text(x.Description) || len(x.Description) > 1000 {
		return refuse(invalid)
	}
	var r event.Refusal
	if x.Tags, r = tagsOf(p); r == none {
		r = textRefusal(doc)
	}
	if r != none {
		return refuse(r)
	}
	if m.accountByID(b.Account) == nil {
		return refuse(notFound)
	}
	for _, o := range m.vault.policies {
		if o.Policy == x.Policy || o.Account == x.Account && strings.EqualFold(o.Name, x.Name) {
			return refuse(exists)
		}
	}
	m.vault.policies[x.Policy] = x
	m.vault.texts[x.Policy] = map[uint32]*PolicyText{1: {Text: doc, Time: m.now}}
	return &event.Outcome{Allocated: 1}
}

// changePolicy changes a copy of a policy, which is there.
func (m *model) changePolicy(id string, change func(*Policy) event.Refusal) *event.Outcome {
	x := m.vault.policies[id]
	if x == nil {
		return refuse(notFound)
	}
	x = proto.CloneOf(x)
	if r := change(x); r != none {
		return refuse(r)
	}
	x.Updated = m.now
	m.vault.policies[id] = x
	return nil
}

func (m *model) addVersion(b *event.PolicyVersionCreated, doc []byte) *event.Outcome {
	if r := textRefusal(doc); r != none {
		return refuse(r)
	}
	n := uint32(0)
	o := m.changePolicy(b.Policy, func(x *Policy) event.Refusal {
		if len(m.vault.texts[x.Policy]) >= 5 {
			return tooMany
		}
		x.LastVersion++
		if n = x.LastVersion; b.Default {
			x.DefaultVersion = n
		}
		m.vault.texts[x.Policy][n] = &PolicyText{Text: doc, Time: m.now}
		return none
	})
	if o == nil {
		o = &event.Outcome{Allocated: uint64(n)}
	}
	return o
}

func (m *model) deleteVersion(b *event.PolicyVersionDeleted) *event.Outcome {
	return m.changePolicy(b.Policy, func(x *Policy) event.Refusal {
		switch {
		case m.vault.texts[x.Policy][b.Version] == nil:
			return notFound
		case x.DefaultVersion == b.Version:
			return inUse
		}
		delete(m.vault.texts[x.Policy], b.Version)
		return none
	})
}

func (m *model) tagPolicy(p *event.Parsed, b *event.PolicyTagsSet) *event.Outcome {
	x := m.vault.policies[b.Policy]
	switch {
	case x == nil:
		return refuse(notFound)
	case len(b.Was) > 0 && string(b.Was) != string(x.Portrait()):
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	x = proto.CloneOf(x)
	var r event.Refusal
	if x.Tags, r = tagsOf(p); r != none {
		return refuse(r)
	}
	m.vault.policies[b.Policy] = x
	return nil
}

// uses counts the principals that a policy is attached to, and that it bounds.
func (m *model) uses(id string) (attached, bounds uint64) {
	for _, u := range m.users {
		if slices.Contains(u.Policies, id) {
			attached++
		}
		if u.Boundary == id {
			bounds++
		}
	}
	return attached, bounds
}

func (m *model) deletePolicy(id string) *event.Outcome {
	if m.vault.policies[id] == nil {
		return refuse(notFound)
	}
	if attached, bounds := m.uses(id); attached+bounds > 0 || len(m.vault.texts[id]) > 1 {
		return refuse(inUse)
	}
	delete(m.vault.policies, id)
	delete(m.vault.texts, id)
	return nil
}

// sizes are those of all inline policies of a principal.
func (m *model) sizes(id string) (bytes, weights uint64) {
	for at, t := range m.vault.inline {
		if at[0] == id {
			bytes += uint64(len(t.Text))
			weights += uint64(weight(t.Text))
		}
	}
	return bytes, weights
}

func (m *model) setInline(id, name string, doc []byte) *event.Outcome {
	x, at := m.principal(id), [2]string{id, name}
	switch {
	case !entity.MatchString(name) || len(name) > 128:
		return refuse(invalid)
	case x == nil || x.Kind == 4 || len(doc) == 0 && m.vault.inline[at] == nil:
		return refuse(notFound)
	}
	m.users[id] = x
	delete(m.vault.inline, at)
	if len(doc) == 0 {
		return nil
	}
	m.vault.inline[at] = &PolicyText{Text: doc, Time: m.now}
	most := map[event.PrincipalKind]uint64{1: 2048, 2: 5120, 3: 10240}[x.Kind]
	if bytes, weights := m.sizes(id); weights > most || bytes > 4*most {
		return refuse(tooMany)
	}
	return nil
}

func (m *model) attach(b *event.PoliciesAttached) *event.Outcome {
	x := m.principal(b.Principal)
	switch {
	case !distinct(b.Attach, b.Detach):
		return refuse(invalid)
	case x == nil || x.Kind == 4:
		return refuse(notFound)
	}
	x = proto.CloneOf(x)
	for _, id := range b.Detach {
		if !slices.Contains(x.Policies, id) {
			return refuse(notFound)
		}
		x.Policies = without(x.Policies, id)
	}
	for _, id := range b.Attach {
		if !slices.Contains(x.Policies, id) && !m.hasPolicy(x.Account, id) {
			return refuse(notFound)
		}
		x.Policies = with(x.Policies, id)
	}
	if len(b.Attach) > 0 && len(x.Policies) > 10 {
		return refuse(tooMany)
	}
	m.users[x.Principal] = x
	return nil
}

func (m *model) changeAccount(id, name, email string) *event.Outcome {
	a := m.accountByID(id)
	switch {
	case !text(name) || !text(email):
		return refuse(invalid)
	case a == nil:
		return refuse(notFound)
	}
	for _, o := range m.accounts {
		if email != "" && o.Email == email && o != a {
			return refuse(exists)
		}
	}
	a = proto.CloneOf(a)
	a.Name, a.Email = name, email
	m.accounts[a.CanonicalId] = a
	return nil
}

func (m *model) deleteAccount(id string) *event.Outcome {
	a := m.accountByID(id)
	if a == nil {
		return refuse(notFound)
	}
	used := a.Root
	for _, u := range m.users {
		used = used || u.Account == id
	}
	for _, p := range m.vault.policies {
		used = used || p.Account == id
	}
	for _, k := range m.keys {
		used = used || k.Account == id
	}
	for _, n := range m.names {
		used = used || n.row.Owner == a.CanonicalId
	}
	if used {
		return refuse(inUse)
	}
	delete(m.accounts, a.CanonicalId)
	delete(m.quotas, a.CanonicalId)
	return nil
}

func (m *model) vaultRows(put func([]byte, uint64, proto.Message), raw func([]byte, []byte)) {
	held := map[string]*Vault{}
	of := func(account string) *Vault {
		if held[account] == nil {
			held[account] = &Vault{}
		}
		return held[account]
	}
	for id, u := range m.users {
		u = proto.CloneOf(u)
		u.InlineBytes, u.InlineWeight = m.sizes(id)
		put(keyText(tableUser, id), 0, u)
		n, _ := of(u.Account).principals(u.Kind)
		*n++
		for _, g := range u.Groups {
			raw(memberKey(g, id), nil)
		}
		for _, p := range u.Policies {
			raw(attachmentKey(p, useAttached, id), nil)
		}
		if u.Boundary != "" {
			raw(attachmentKey(u.Boundary, useBoundary, id), nil)
		}
	}
	for k, id := range m.vault.names {
		raw([]byte(k), []byte(id))
	}
	for id, p := range m.vault.policies {
		p = proto.CloneOf(p)
		p.Attachments, p.Bounds = m.uses(id)
		p.Versions = slices.Sorted(maps.Keys(m.vault.texts[id]))
		put(keyText(tablePolicy, id), 0, p)
		raw(policyNameKey(p.Account, p.Name), []byte(id))
		of(p.Account).Policies++
		for n, t := range m.vault.texts[id] {
			put(policyTextKey(id, n), 0, t)
		}
	}
	for at, t := range m.vault.inline {
		put(inlineKey(at[0], at[1]), 0, t)
	}
	if !m.hasVault() {
		return
	}
	for account, v := range held {
		put(keyText(tableVault, account), 0, v)
	}
	for id, k := range m.keys {
		raw(keyOfKey(k.Account, k.User, id), nil)
	}
}
