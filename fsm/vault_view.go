package fsm

import (
	"bytes"
	"fmt"
	"strings"

	"ironman/wal/event"
)

// Identities are read as of now by every view: access is judged by the present.

// Principal returns a user, group or role by its id; nil if there is none.
func (v *View) Principal(id string) (*Principal, error) {
	x, err := read[Principal](v, keyText(tableUser, id))
	if x != nil && x.Kind == event.PrincipalKind_PRINCIPAL_KIND_UNSPECIFIED {
		x.Kind, x.Path = event.PrincipalKind_PRINCIPAL_KIND_USER, "/"
	}
	return x, err
}

// PrincipalByName returns a principal of an account by its kind and name, whose case
// matters in a provider's only; nil if there is none.
func (v *View) PrincipalByName(account string, kind event.PrincipalKind, name string) (*Principal, error) {
	id, err := v.raw(nameKey(account, kind, name))
	if err != nil || id == nil {
		return nil, err
	}
	return v.Principal(string(id))
}

// VaultQuery asks for a page of what an account has, by name without regard to case.
type VaultQuery struct {
	Account    string
	PathPrefix string // "" is all
	After      string // only names above it
	Max        int
}

// Principals returns a page of an account's principals of a kind, and whether there
// are more. Its cost grows with what it passes, at most the limits of an account.
func (v *View) Principals(kind event.PrincipalKind, q VaultQuery) ([]*Principal, bool, error) {
	prefix := append(keyEscaped(tableName, q.Account), byte(kind))
	return page(v, prefix, fold(q.After), q.Max, func(_ string, value []byte) (*Principal, error) {
		x, err := v.Principal(string(value))
		if err == nil && !strings.HasPrefix(x.GetPath(), q.PathPrefix) {
			x = nil
		}
		return x, err
	})
}

// page reads at most max rows under a prefix whose suffix is above after. row gives
// nil for what is not on the page.
func page[T any](v *View, prefix []byte, above string, max int, row func(suffix string, value []byte) (*T, error)) ([]*T, bool, error) {
	var out []*T
	more := false
	lower := prefix
	if above != "" {
		lower = append(bytes.Clone(prefix), above+"\x00"...)
	}
	if max <= 0 {
		return nil, false, nil
	}
	err := v.scan(lower, after(prefix), func(k, value []byte) (bool, error) {
		x, err := row(string(k[len(prefix):]), value)
		if err != nil || x == nil {
			return err == nil, err
		}
		if more = len(out) == max; !more {
			out = append(out, x)
		}
		return !more, nil
	})
	return out, more, err
}

// Members returns a page of a group's users above one, by id.
func (v *View) Members(group, above string, max int) ([]*Principal, bool, error) {
	return page(v, keyEscaped(tableMember, group), above, max, func(user string, _ []byte) (*Principal, error) {
		return v.Principal(user)
	})
}

// Policy returns a managed policy; nil if there is none. Those that every cluster has
// are not in the state.
func (v *View) Policy(id string) (*Policy, error) { return read[Policy](v, keyText(tablePolicy, id)) }

// PolicyByName returns a managed policy of an account; nil if there is none.
func (v *View) PolicyByName(account, name string) (*Policy, error) {
	id, err := v.raw(policyNameKey(account, name))
	if err != nil || id == nil {
		return nil, err
	}
	return v.Policy(string(id))
}

// Policies returns a page of an account's managed policies.
func (v *View) Policies(q VaultQuery) ([]*Policy, bool, error) {
	return page(v, keyEscaped(tablePolicyName, q.Account), fold(q.After), q.Max, func(_ string, value []byte) (*Policy, error) {
		x, err := v.Policy(string(value))
		if err == nil && !strings.HasPrefix(x.GetPath(), q.PathPrefix) {
			x = nil
		}
		return x, err
	})
}

// PolicyVersion returns one version's text; nil if there is none.
func (v *View) PolicyVersion(policy string, version uint32) (*PolicyText, error) {
	return read[PolicyText](v, policyTextKey(policy, version))
}

// InlinePolicy returns a principal's own policy; nil if there is none.
func (v *View) InlinePolicy(principal, name string) (*PolicyText, error) {
	return read[PolicyText](v, inlineKey(principal, name))
}

// InlineNames returns a page of the names of a principal's own policies.
func (v *View) InlineNames(principal, after string, max int) ([]string, bool, error) {
	names, more, err := page(v, keyEscaped(tableInline, principal), after, max, func(name string, _ []byte) (*string, error) {
		return &name, nil
	})
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = *n
	}
	return out, more, err
}

// PolicyUsers returns a page of the principals that a managed policy is attached to
// or, with boundary, that it bounds; by id. Of a policy that every cluster has, those
// of the account alone.
func (v *View) PolicyUsers(account, policy string, boundary bool, above string, max int) ([]*Principal, bool, error) {
	use := byte(useAttached)
	if boundary {
		use = useBoundary
	}
	return page(v, append(keyEscaped(tableAttachment, policy), use), above, max, func(id string, _ []byte) (*Principal, error) {
		x, err := v.Principal(id)
		if err == nil && x.GetAccount() != account {
			x = nil
		}
		return x, err
	})
}

// AccessKeys returns the keys of a user, or of an account itself (user ""), by id.
func (v *View) AccessKeys(account, user string) ([]*AccessKey, error) {
	out, _, err := page(v, ownKeys(account, user), "", maxOwnKeys+maxKeysPerUser, func(id string, _ []byte) (*AccessKey, error) {
		return v.AccessKey(id)
	})
	return out, err
}

// Vault returns what an account has, in numbers.
func (v *View) Vault(account string) (*Vault, error) {
	x, err := read[Vault](v, keyText(tableVault, account))
	if x == nil && err == nil {
		x = &Vault{}
	}
	return x, err
}

// Accounts returns a page of all accounts, by their 12 digits.
func (v *View) Accounts(above string, max int) ([]*Account, bool, error) {
	return page(v, []byte{byte(tableAccountID)}, above, max, func(_ string, canonical []byte) (*Account, error) {
		return v.Account(string(canonical))
	})
}

// OwnedPolicy is a policy as it counts for a principal.
type OwnedPolicy struct {
	// ID is that of a managed policy; empty: it is an inline one.
	ID   string
	Name string
	// Of is the group that it comes by; empty: the principal itself.
	Of string
	// Text is nil for a policy that every cluster has.
	Text []byte
}

// Authority is everything that identity policies say of a principal.
type Authority struct {
	Principal *Principal
	Policies  []OwnedPolicy
	Boundary  *OwnedPolicy // nil: nothing bounds it
}

// Authority collects what decides for a principal; nil if there is none. It reads no
// more than the limits of a principal and ten groups allow.
func (v *View) Authority(id string) (*Authority, error) {
	x, err := v.Principal(id)
	if err != nil || x == nil {
		return nil, err
	}
	a := &Authority{Principal: x}
	if err := v.collect(a, x, ""); err != nil {
		return nil, err
	}
	for _, g := range x.Groups {
		group, err := v.Principal(g)
		if err == nil && group == nil {
			err = fmt.Errorf("fsm: group %s of %s is missing", g, id)
		}
		if err == nil {
			err = v.collect(a, group, g)
		}
		if err != nil {
			return nil, err
		}
	}
	if x.Boundary != "" {
		if a.Boundary, err = v.managed(x.Boundary); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// collect adds the policies of x.
func (v *View) collect(a *Authority, x *Principal, of string) error {
	prefix := keyEscaped(tableInline, x.Principal)
	err := v.scan(prefix, after(prefix), func(k, value []byte) (bool, error) {
		p, _, err := decodeRow[PolicyText](bytes.Clone(k), bytes.Clone(value))
		a.Policies = append(a.Policies, OwnedPolicy{Name: string(k[len(prefix):]), Of: of, Text: p.GetText()})
		return true, err
	})
	if err != nil {
		return err
	}
	for _, id := range x.Policies {
		p, err := v.managed(id)
		if err != nil {
			return err
		}
		p.Of = of
		a.Policies = append(a.Policies, *p)
	}
	return nil
}

// managed is a managed policy in its default version.
func (v *View) managed(id string) (*OwnedPolicy, error) {
	if builtin(id) {
		return &OwnedPolicy{ID: id, Name: id[strings.LastIndexByte(id, '/')+1:]}, nil
	}
	p, err := v.Policy(id)
	if err != nil {
		return nil, err
	}
	text, err := v.PolicyVersion(id, p.GetDefaultVersion())
	if err == nil && text == nil {
		err = fmt.Errorf("fsm: policy %s, which is in use, has no text", id)
	}
	return &OwnedPolicy{ID: id, Name: p.GetName(), Text: text.GetText()}, err
}
