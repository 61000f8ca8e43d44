package fsm

import (
	"bytes"
	"slices"
	"strings"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// Limits are Amazon's defaults. Lengths of policies count what is not white space;
// all of it may be a few times that.
const (
	maxPolicies          = 1500 // managed ones, of an account
	maxPolicyVersions    = 5
	maxPolicyWeight      = 6144
	maxAttached          = 10 // managed policies of a principal
	maxInlineUser        = 2048
	maxInlineGroup       = 5120
	maxInlineRole        = 10240
	whiteSpaceFactor     = 4
	maxPolicyDescription = 1000
)

// BuiltinPolicy begins the ids of the managed policies that every cluster has. The
// state machine holds no text of them; it believes that what is named so is there.
const BuiltinPolicy = "arn:aws:iam::aws:policy/"

func builtin(policy string) bool { return strings.HasPrefix(policy, BuiltinPolicy) }

// validText judges a policy's text as far as the state machine knows it: its length.
func validText(text []byte) event.Refusal {
	switch {
	case len(text) == 0:
		return event.Refusal_REFUSAL_INVALID
	case weigh(text) > maxPolicyWeight || len(text) > whiteSpaceFactor*maxPolicyWeight:
		return event.Refusal_REFUSAL_LIMIT_EXCEEDED
	}
	return event.Refusal_REFUSAL_NONE
}

// policyCreated makes a managed policy with its first version.
func (t *tx) policyCreated(p *event.Parsed, b *event.PolicyCreated) *event.Outcome {
	name, description := p.Text(event.ItemKind_ITEM_KIND_NAME, 0), p.Text(event.ItemKind_ITEM_KIND_NAME, 1)
	text, _ := p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	if b.Policy == "" || !validName(b.Policy) || builtin(b.Policy) || !validEntity(name, 128) || !validPath(b.Path) ||
		len(description) > maxPolicyDescription || !validName(description) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	tags, r := t.vaultTags(p)
	if r == event.Refusal_REFUSAL_NONE {
		r = validText(text)
	}
	if r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	if !t.has(keyText(tableAccountID, b.Account)) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	k, byName := keyText(tablePolicy, b.Policy), policyNameKey(b.Account, name)
	if t.has(k) || t.has(byName) {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	if !t.tally(b.Account, func(v *Vault) bool { v.Policies++; return v.Policies <= maxPolicies }) {
		return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
	}
	t.set(k, &Policy{
		Policy: b.Policy, Account: b.Account, Path: b.Path, Name: name, Description: description, Tags: tags,
		Time: t.time, Updated: t.time, DefaultVersion: 1, LastVersion: 1, Versions: []uint32{1},
	})
	t.setRaw(byName, []byte(b.Policy))
	t.set(policyTextKey(b.Policy, 1), &PolicyText{Text: bytes.Clone(text), Time: t.time})
	return &event.Outcome{Allocated: 1}
}

// policyVersionCreated adds a version, whose number the outcome tells.
func (t *tx) policyVersionCreated(p *event.Parsed, b *event.PolicyVersionCreated) *event.Outcome {
	text, _ := p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	if r := validText(text); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	k := keyText(tablePolicy, b.Policy)
	x := get[Policy](t, k)
	switch {
	case x == nil:
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	case len(x.Versions) >= maxPolicyVersions:
		return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
	}
	x.LastVersion++
	x.Versions = append(x.Versions, x.LastVersion)
	x.Updated = t.time
	if b.Default {
		x.DefaultVersion = x.LastVersion
	}
	t.set(policyTextKey(b.Policy, x.LastVersion), &PolicyText{Text: bytes.Clone(text), Time: t.time})
	t.set(k, x)
	return &event.Outcome{Allocated: uint64(x.LastVersion)}
}

// policyVersionDeleted removes a version that is not the default.
func (t *tx) policyVersionDeleted(b *event.PolicyVersionDeleted) *event.Outcome {
	k := keyText(tablePolicy, b.Policy)
	x := get[Policy](t, k)
	i := slices.Index(x.GetVersions(), b.Version)
	switch {
	case i < 0:
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	case x.DefaultVersion == b.Version:
		return refuse(event.Refusal_REFUSAL_IN_USE)
	}
	x.Versions = slices.Delete(x.Versions, i, i+1)
	x.Updated = t.time
	t.delete(policyTextKey(b.Policy, b.Version))
	t.set(k, x)
	return accept()
}

func (t *tx) policyDefaultSet(b *event.PolicyDefaultSet) *event.Outcome {
	k := keyText(tablePolicy, b.Policy)
	x := get[Policy](t, k)
	if !slices.Contains(x.GetVersions(), b.Version) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	x.DefaultVersion, x.Updated = b.Version, t.time
	t.set(k, x)
	return accept()
}

// Portrait is a digest of all that a PolicyTagsSet replaces: who makes one names by it
// what it was made from.
func (x *Policy) Portrait() []byte {
	sum := digest.SHA256(event.Canonical(&Policy{Tags: x.Tags}))
	return sum[:]
}

// policyTagsSet replaces a policy's tags. Of two that were made from one reading the second
// is refused: it would undo the first. When a policy was updated is of its versions.
func (t *tx) policyTagsSet(p *event.Parsed, b *event.PolicyTagsSet) *event.Outcome {
	k := keyText(tablePolicy, b.Policy)
	x := get[Policy](t, k)
	switch {
	case x == nil:
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	case len(b.Was) > 0 && !bytes.Equal(b.Was, x.Portrait()):
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	var r event.Refusal
	if x.Tags, r = t.vaultTags(p); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	t.set(k, x)
	return accept()
}

// policyDeleted removes a policy that has but its default version and that nobody
// has or is bounded by.
func (t *tx) policyDeleted(b *event.PolicyDeleted) *event.Outcome {
	k := keyText(tablePolicy, b.Policy)
	x := get[Policy](t, k)
	switch {
	case x == nil:
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	case x.Attachments > 0 || x.Bounds > 0 || len(x.Versions) > 1:
		return refuse(event.Refusal_REFUSAL_IN_USE)
	}
	t.tally(x.Account, func(v *Vault) bool { v.Policies--; return true })
	t.delete(policyTextKey(b.Policy, x.DefaultVersion))
	t.delete(policyNameKey(x.Account, x.Name))
	t.delete(k)
	return accept()
}

// inlinePolicySet stores or removes a policy of a principal's own.
func (t *tx) inlinePolicySet(p *event.Parsed, b *event.InlinePolicySet) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_NAME, 0)
	text, _ := p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	if !validEntity(name, 128) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	k := keyText(tableUser, b.Principal)
	x := get[Principal](t, k)
	if !x.hasPolicies() {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	t.normalise(x)
	row := inlineKey(b.Principal, name)
	old := get[PolicyText](t, row)
	if old == nil && len(text) == 0 {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	x.InlineBytes += uint64(len(text)) - uint64(len(old.GetText()))
	x.InlineWeight += uint64(weigh(text)) - uint64(weigh(old.GetText()))
	if most := x.maxInline(); len(text) > 0 && (x.InlineWeight > most || x.InlineBytes > whiteSpaceFactor*most) {
		return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
	}
	t.set(k, x)
	if len(text) == 0 {
		t.delete(row)
	} else {
		t.set(row, &PolicyText{Text: bytes.Clone(text), Time: t.time})
	}
	return accept()
}

// hasPolicies tells whether there may be policies of a principal: it does something itself.
func (x *Principal) hasPolicies() bool {
	return x != nil && x.Kind != event.PrincipalKind_PRINCIPAL_KIND_PROVIDER
}

// maxInline is how much all inline policies of a principal may weigh together.
func (x *Principal) maxInline() uint64 {
	switch x.Kind {
	case event.PrincipalKind_PRINCIPAL_KIND_GROUP:
		return maxInlineGroup
	case event.PrincipalKind_PRINCIPAL_KIND_ROLE:
		return maxInlineRole
	}
	return maxInlineUser
}

// policiesAttached attaches managed policies, or detaches them. What is attached
// already stays so.
func (t *tx) policiesAttached(b *event.PoliciesAttached) *event.Outcome {
	if !validChanges(b.Attach, b.Detach) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	k := keyText(tableUser, b.Principal)
	x := get[Principal](t, k)
	if !x.hasPolicies() {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	t.normalise(x)
	for _, id := range b.Detach {
		if !remove(&x.Policies, id) {
			return refuse(event.Refusal_REFUSAL_NOT_FOUND)
		}
		t.use(id, x, useAttached, -1)
	}
	for _, id := range b.Attach {
		if insert(&x.Policies, id) && !t.use(id, x, useAttached, 1) {
			return refuse(event.Refusal_REFUSAL_NOT_FOUND)
		}
	}
	if len(b.Attach) > 0 && len(x.Policies) > maxAttached {
		return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
	}
	t.set(k, x)
	return accept()
}

// bound begins (by 1) or ends (by -1) that a policy bounds a principal; "" is none.
func (t *tx) bound(x *Principal, policy string, by int) bool {
	return policy == "" || t.use(policy, x, useBoundary, by)
}

// use begins or ends a use of a managed policy; false: the account has none such.
func (t *tx) use(policy string, x *Principal, use byte, by int) bool {
	if !builtin(policy) {
		k := keyText(tablePolicy, policy)
		p := get[Policy](t, k)
		if p == nil || p.Account != x.Account {
			return false
		}
		if use == useAttached {
			p.Attachments += uint64(by)
		} else {
			p.Bounds += uint64(by)
		}
		t.set(k, p)
	} else if !validName(policy) {
		return false
	}
	at := attachmentKey(policy, use, x.Principal)
	if by > 0 {
		t.setRaw(at, []byte{})
	} else {
		t.delete(at)
	}
	return true
}
