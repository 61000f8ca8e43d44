package fsm

import (
	"bytes"

	"ironman/wal/event"
)

// accountChanged renames a tenant.
func (t *tx) accountChanged(p *event.Parsed, b *event.AccountChanged) *event.Outcome {
	name, email := p.Text(event.ItemKind_ITEM_KIND_NAME, 0), p.Text(event.ItemKind_ITEM_KIND_NAME, 1)
	if !validName(name) || !validName(email) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	a := t.accountOf(b.Account)
	if a == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	if email != "" && email != a.Email && t.has(keyText(tableEmail, email)) {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	if a.Email != "" {
		t.delete(keyText(tableEmail, a.Email))
	}
	if email != "" {
		t.setRaw(keyText(tableEmail, email), []byte(a.CanonicalId))
	}
	a.Name, a.Email = name, email
	t.set(keyText(tableAccount, a.CanonicalId), a)
	return accept()
}

// accountOf is an account by its 12 digits; nil: there is none.
func (t *tx) accountOf(id string) *Account {
	canonical := t.raw(keyText(tableAccountID, id))
	if canonical == nil {
		return nil
	}
	return get[Account](t, keyText(tableAccount, string(canonical)))
}

// accountDeleted removes a tenant that has nothing left. The cluster's root account
// is in use as long as there is a cluster.
func (t *tx) accountDeleted(b *event.AccountDeleted) *event.Outcome {
	a := t.accountOf(b.Account)
	if a == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	if a.Root || t.has(keyText(tableVault, a.Account)) || t.any(keyEscaped(tableKeyOf, a.Account)) || t.ownsBucket(a.CanonicalId) {
		return refuse(event.Refusal_REFUSAL_IN_USE)
	}
	if a.Email != "" {
		t.delete(keyText(tableEmail, a.Email))
	}
	t.delete(keyText(tableAccountID, a.Account))
	t.delete(keyText(tableAccount, a.CanonicalId))
	t.delete(keyText(tableHoldings, a.CanonicalId))
	return accept()
}

// ownsBucket looks through all buckets: accounts are deleted seldom, and an index
// would cost every CreateBucket.
func (t *tx) ownsBucket(canonicalID string) bool {
	found := false
	t.scan([]byte{byte(tableBucketName)}, func(k, value []byte) bool {
		n, _, err := decodeRow[BucketName](bytes.Clone(k), bytes.Clone(value))
		if err != nil {
			t.m.fatal(err)
		}
		found = n.Owner == canonicalID
		return !found
	})
	return found
}

// accessKeySealed replaces the ciphertext of a secret.
func (t *tx) accessKeySealed(b *event.AccessKeySealed) *event.Outcome {
	if len(b.SealedSecret) == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	k := keyText(tableAccessKey, b.AccessKey)
	a := get[AccessKey](t, k)
	if a == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	a.SealedSecret = b.SealedSecret
	t.set(k, a)
	return accept()
}

// indexVault makes the rows that the events below the vault's level did not write.
// A user whose name another has, or that is none, is reached by its id alone.
func (t *tx) indexVault() {
	t.scan([]byte{byte(tableAccessKey)}, func(k, value []byte) bool {
		a, _, err := decodeRow[AccessKey](bytes.Clone(k), bytes.Clone(value))
		if err != nil {
			t.m.fatal(err)
		}
		t.setRaw(keyOfKey(a.Account, a.User, a.AccessKey), []byte{})
		return true
	})
	const user = event.PrincipalKind_PRINCIPAL_KIND_USER
	t.scan([]byte{byte(tableUser)}, func(k, value []byte) bool {
		x, _, err := decodeRow[Principal](bytes.Clone(k), bytes.Clone(value))
		if err != nil {
			t.m.fatal(err)
		}
		if name := nameKey(x.Account, user, x.Name); validPrincipal(user, x.Name) && !t.has(name) {
			t.setRaw(name, []byte(x.Principal))
		}
		t.tally(x.Account, func(v *Vault) bool { v.Users++; return true })
		return true
	})
}

// executeVault dispatches the events of principals and policies.
func (t *tx) executeVault(p *event.Parsed) (*event.Outcome, bool) {
	switch b := p.Statement.Body.(type) {
	case *event.Statement_PrincipalCreated:
		return t.principalCreated(p, b.PrincipalCreated), true
	case *event.Statement_PrincipalChanged:
		return t.principalChanged(p, b.PrincipalChanged), true
	case *event.Statement_PrincipalDeleted:
		return t.principalDeleted(b.PrincipalDeleted), true
	case *event.Statement_MembersChanged:
		return t.membersChanged(b.MembersChanged), true
	case *event.Statement_PolicyCreated:
		return t.policyCreated(p, b.PolicyCreated), true
	case *event.Statement_PolicyVersionCreated:
		return t.policyVersionCreated(p, b.PolicyVersionCreated), true
	case *event.Statement_PolicyVersionDeleted:
		return t.policyVersionDeleted(b.PolicyVersionDeleted), true
	case *event.Statement_PolicyDefaultSet:
		return t.policyDefaultSet(b.PolicyDefaultSet), true
	case *event.Statement_PolicyTagsSet:
		return t.policyTagsSet(p, b.PolicyTagsSet), true
	case *event.Statement_PolicyDeleted:
		return t.policyDeleted(b.PolicyDeleted), true
	case *event.Statement_InlinePolicySet:
		return t.inlinePolicySet(p, b.InlinePolicySet), true
	case *event.Statement_PoliciesAttached:
		return t.policiesAttached(b.PoliciesAttached), true
	case *event.Statement_AccountChanged:
		return t.accountChanged(p, b.AccountChanged), true
	case *event.Statement_AccountDeleted:
		return t.accountDeleted(b.AccountDeleted), true
	case *event.Statement_AccessKeySealed:
		return t.accessKeySealed(b.AccessKeySealed), true
	}
	return nil, false
}
