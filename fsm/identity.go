package fsm

import (
	"encoding/hex"
	"strings"

	"ironman/wal/event"
)

// accountCreated makes a tenant. Ids, canonical ids and e-mail addresses are unique.
func (t *tx) accountCreated(p *event.Parsed, b *event.AccountCreated) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_NAME, 0)
	email := p.Text(event.ItemKind_ITEM_KIND_NAME, 1)
	if raw, err := hex.DecodeString(b.CanonicalId); err != nil || len(raw) != 32 || b.CanonicalId != strings.ToLower(b.CanonicalId) ||
		b.Account == "" || !validName(b.Account) || !validName(name) || !validName(email) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if t.has(keyText(tableAccount, b.CanonicalId)) || t.has(keyText(tableAccountID, b.Account)) ||
		email != "" && t.has(keyText(tableEmail, email)) {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	a := &Account{Account: b.Account, CanonicalId: b.CanonicalId, Name: name, Email: email, Root: b.Root}
	t.set(keyText(tableAccount, b.CanonicalId), a)
	t.setRaw(keyText(tableAccountID, b.Account), []byte(b.CanonicalId))
	if email != "" {
		t.setRaw(keyText(tableEmail, email), []byte(b.CanonicalId))
	}
	return accept()
}

func (t *tx) userCreated(p *event.Parsed, b *event.UserCreated) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_NAME, 0)
	if t.hasVault() {
		return t.principalCreated(p, &event.PrincipalCreated{
			Principal: b.User, Account: b.Account, Kind: event.PrincipalKind_PRINCIPAL_KIND_USER, Path: "/",
		})
	}
	if b.User == "" || !validName(b.User) || !validName(name) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if !t.has(keyText(tableAccountID, b.Account)) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	if t.has(keyText(tableUser, b.User)) {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	t.set(keyText(tableUser, b.User), &Principal{Principal: b.User, Account: b.Account, Name: name})
	return accept()
}

func (t *tx) accessKeyCreated(b *event.AccessKeyCreated) *event.Outcome {
	if b.AccessKey == "" || !validName(b.AccessKey) || len(b.SealedSecret) == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if !t.has(keyText(tableAccountID, b.Account)) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	if b.User != "" && t.userOf(b.Account, b.User) == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	k := keyText(tableAccessKey, b.AccessKey)
	if t.has(k) {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	if t.hasVault() {
		if !t.mayHaveKey(b.Account, b.User) {
			return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
		}
		t.setRaw(keyOfKey(b.Account, b.User, b.AccessKey), []byte{})
	}
	t.set(k, &AccessKey{
		AccessKey: b.AccessKey, Account: b.Account, User: b.User,
		SealedSecret: b.SealedSecret, Active: true, Time: t.time,
	})
	return accept()
}

// mayHaveKey tells whether a user, or an account itself (user ""), may have one more.
func (t *tx) mayHaveKey(account, user string) bool {
	n, most := 0, maxKeysPerUser
	if user == "" {
		most = maxOwnKeys
	}
	t.scan(ownKeys(account, user), func(_, _ []byte) bool {
		n++
		return n < most
	})
	return n < most
}

func (t *tx) accessKeyStatusSet(b *event.AccessKeyStatusSet) *event.Outcome {
	k := keyText(tableAccessKey, b.AccessKey)
	a := get[AccessKey](t, k)
	if a == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	a.Active = b.Active
	t.set(k, a)
	return accept()
}

func (t *tx) accessKeyDeleted(b *event.AccessKeyDeleted) *event.Outcome {
	k := keyText(tableAccessKey, b.AccessKey)
	a := get[AccessKey](t, k)
	if a == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	if t.hasVault() {
		t.delete(keyOfKey(a.Account, a.User, a.AccessKey))
	}
	t.delete(k)
	return accept()
}
