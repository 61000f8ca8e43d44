package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// AccountState is what the admin listener says of an account. It holds no secret.
type AccountState struct {
	Account     string `json:"account"` // 12 digits
	CanonicalID string `json:"canonical_id"`
	Name        string `json:"name"`
	Email       string `json:"email,omitempty"`
	Root        bool   `json:"root,omitempty"` // the cluster's root account
	Users       uint64 `json:"users"`
	Groups      uint64 `json:"groups"`
	Roles       uint64 `json:"roles"`
	Policies    uint64 `json:"policies"`
	Providers   uint64 `json:"providers"` // of identities, by OpenID Connect
}

// NewAccount is an account that was just made, with its root key, shown this once.
type NewAccount struct {
	AccountState
	AccessKey string     `json:"access_key"`
	SecretKey sig.Secret `json:"-"`
}

// newAccountJSON is the one answer that shows the secret of a new account's key.
type newAccountJSON struct {
	AccountState
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// accountLimit bounds what the admin listener does to an account.
const accountLimit = 30 * time.Second

// accounts lists all accounts, as this node has them.
func (n *Node) accounts(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	list, err := n.Accounts(ctx)
	if err != nil {
		n.adminError(w, err)
		return
	}
	writeJSON(w, list)
}

// Accounts lists all accounts by number.
func (n *Node) Accounts(ctx context.Context) ([]AccountState, error) {
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	accounts, err := allAccounts(v)
	if err != nil {
		return nil, err
	}
	out := []AccountState{}
	for _, a := range accounts {
		s, err := accountState(v, a)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// allAccounts are the rows of all accounts by number.
func allAccounts(v *fsm.View) (all []*fsm.Account, err error) {
	for after, more := "", true; more; {
		var page []*fsm.Account
		if page, more, err = v.Accounts(after, 1000); err != nil {
			return nil, err
		}
		if all = append(all, page...); more {
			after = page[len(page)-1].Account
		}
	}
	return all, nil
}

func accountState(v *fsm.View, a *fsm.Account) (AccountState, error) {
	held, err := v.Vault(a.Account)
	return AccountState{
		Account: a.Account, CanonicalID: a.CanonicalId, Name: a.Name, Email: a.Email, Root: a.Root,
		Users: held.GetUsers(), Groups: held.GetGroups(), Roles: held.GetRoles(), Policies: held.GetPolicies(), Providers: held.GetProviders(),
	}, err
}

// createTenant makes an account with its root key.
func (n *Node) createTenant(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	a, err := n.CreateAccount(ctx, r.URL.Query().Get("name"), r.URL.Query().Get("email"))
	if err != nil {
		n.adminError(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, newAccountJSON{a.AccountState, a.AccessKey, string(a.SecretKey.Reveal())})
}

// accountTries is how many numbers are drawn for an account before that is given up.
const accountTries = 8

// CreateAccount makes a tenant. Its number is drawn: who knows one does not know another.
func (n *Node) CreateAccount(ctx context.Context, name, email string) (*NewAccount, error) {
	if name == "" || len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return nil, fmt.Errorf("%w: an account needs a name of 1 to 128 characters", errBadAsk)
	}
	if email != "" && !strings.Contains(email, "@") {
		return nil, fmt.Errorf("%w: %q is not an e-mail address", errBadAsk, email)
	}
	if err := n.mayName(ctx, name, email); err != nil {
		return nil, err
	}
	a := AccountState{CanonicalID: randomHex(32), Name: name, Email: email}
	for try := 0; ; try++ {
		a.Account = newAccountNumber()
		r, err := n.tell(ctx, event.NewDraft(nil, &event.Statement_AccountCreated{AccountCreated: &event.AccountCreated{
			Account: a.Account, CanonicalId: a.CanonicalID,
		}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, name).AddText(event.ItemKind_ITEM_KIND_NAME, 1, email))
		if err != nil {
			return nil, err
		}
		if r == event.Refusal_REFUSAL_NONE {
			break
		}
		if r != event.Refusal_REFUSAL_EXISTS || try == accountTries {
			return nil, fmt.Errorf("%w: the account was refused: %s", errBadAsk, r)
		}
	}
	key, err := newCredentials("", "")
	if err != nil {
		return nil, err
	}
	secret := sig.NewSecret(key.SecretKey)
	err = n.must(ctx, event.NewDraft(nil, &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{
		AccessKey: key.AccessKey, Account: a.Account, SealedSecret: n.keyring.sealSecret(key.AccessKey, secret),
	}}))
	return &NewAccount{AccountState: a, AccessKey: key.AccessKey, SecretKey: secret}, err
}

// mayName refuses the name or address of another account. Two that are made at once
// may still get one name: it is for people, and nothing is found by it.
func (n *Node) mayName(ctx context.Context, name, email string) error {
	list, err := n.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Name == name || email != "" && a.Email == email {
			return fmt.Errorf("%w: account %s has that name or e-mail address", errBadAsk, a.Account)
		}
	}
	return nil
}

// newAccountNumber draws 12 digits that are none of the first start's.
func newAccountNumber() string {
	n, err := rand.Int(rand.Reader, big.NewInt(899_999_999_999))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return fmt.Sprintf("%012d", n.Int64()+100_000_000_000)
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// tell proposes one of the store's own events, once, and gives its refusal.
func (n *Node) tell(ctx context.Context, d *event.Draft) (event.Refusal, error) {
	a, err := n.agree(ctx, d)
	if err != nil {
		return 0, err
	}
	return a.Outcome.GetRefusal(), nil
}

// deleteTenant removes an account that has nothing left.
func (n *Node) deleteTenant(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	if err := n.DeleteAccount(ctx, r.URL.Query().Get("account")); err != nil {
		n.adminError(w, err)
		return
	}
	writeJSON(w, struct{}{})
}

// DeleteAccount removes an account without buckets, users, groups, roles and policies.
// Its own keys go first, so that nobody makes something new in it.
func (n *Node) DeleteAccount(ctx context.Context, account string) error {
	v, err := views{n}.View(ctx)
	if err != nil {
		return err
	}
	a, err1 := v.AccountByID(account)
	buckets, err2 := v.ListBuckets(a.GetCanonicalId(), "", "", 1)
	held, err3 := v.Vault(account)
	keys, err4 := v.AccessKeys(account, "")
	if err := errors.Join(err1, err2, err3, err4, v.Close()); err != nil {
		return err
	}
	switch {
	case a == nil:
		return fmt.Errorf("%w: no account %q", errNoObject, account)
	case a.Root:
		return fmt.Errorf("%w: the cluster's root account stays", errBadAsk)
	case len(buckets) > 0 || held.Users+held.Groups+held.Roles+held.Policies+held.Providers > 0:
		return fmt.Errorf("%w: account %s still has buckets, users, groups, roles, policies or OpenID Connect providers", errBadAsk, account)
	}
	for _, k := range keys {
		err := n.must(ctx, event.NewDraft(nil, &event.Statement_AccessKeyDeleted{AccessKeyDeleted: &event.AccessKeyDeleted{AccessKey: k.AccessKey}}),
			event.Refusal_REFUSAL_NOT_FOUND)
		if err != nil {
			return err
		}
	}
	r, err := n.tell(ctx, event.NewDraft(nil, &event.Statement_AccountDeleted{AccountDeleted: &event.AccountDeleted{Account: account}}))
	if err == nil && r != event.Refusal_REFUSAL_NONE {
		err = fmt.Errorf("%w: account %s could not be deleted: %s", errBadAsk, account, r)
	}
	return err
}

// createAccountKey makes another root key for an account: for one whose key was lost.
func (n *Node) createAccountKey(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	account := r.URL.Query().Get("account")
	key, err := newCredentials("", "")
	if err != nil {
		n.adminError(w, err)
		return
	}
	refusal, err := n.tell(ctx, event.NewDraft(nil, &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{
		AccessKey: key.AccessKey, Account: account, SealedSecret: n.keyring.sealSecret(key.AccessKey, sig.NewSecret(key.SecretKey)),
	}}))
	switch {
	case refusal == event.Refusal_REFUSAL_NOT_FOUND:
		err = fmt.Errorf("%w: no account %q", errNoObject, account)
	case refusal == event.Refusal_REFUSAL_LIMIT_EXCEEDED:
		err = fmt.Errorf("%w: account %s has as many keys as it may: delete one by IAM", errBadAsk, account)
	case err == nil && refusal != event.Refusal_REFUSAL_NONE:
		err = fmt.Errorf("%w: the key was refused: %s", errBadAsk, refusal)
	}
	if err != nil {
		n.adminError(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, newAccountJSON{AccountState{Account: account}, key.AccessKey, key.SecretKey})
}
