package iam

import (
	"strings"

	"ironman/fsm"
	"ironman/wal/event"
)

// noun is a kind of principal as ARNs and messages name it.
func noun(k event.PrincipalKind) string {
	switch k {
	case event.PrincipalKind_PRINCIPAL_KIND_GROUP:
		return "group"
	case event.PrincipalKind_PRINCIPAL_KIND_ROLE:
		return "role"
	case event.PrincipalKind_PRINCIPAL_KIND_PROVIDER:
		return "oidc-provider"
	}
	return "user"
}

func arn(account, noun, path, name string) string {
	return "arn:aws:iam::" + account + ":" + noun + path + name
}

// ARN names a user, group or role.
func ARN(x *fsm.Principal) string { return arn(x.Account, noun(x.Kind), x.Path, x.Name) }

func managedARN(x *fsm.Policy) string { return arn(x.Account, "policy", x.Path, x.Name) }

// rootARN names an account itself.
func rootARN(account string) string { return "arn:aws:iam::" + account + ":root" }

// parseARN takes an ARN of the account's apart: what stands behind "noun/", with its
// path, as "/path/" and "name".
func parseARN(s, account, noun string) (path, name string, ok bool) {
	rest, ok := strings.CutPrefix(s, "arn:aws:iam::"+account+":"+noun+"/")
	if !ok {
		return "", "", false
	}
	rest = "/" + rest
	i := strings.LastIndexByte(rest, '/')
	return rest[:i+1], rest[i+1:], rest[i+1:] != ""
}

// policyARN names a managed policy by its id.
func (c *call) policyARN(id string) (string, error) {
	if builtinByARN(id) != nil {
		return id, nil
	}
	x, err := c.view.Policy(id)
	if err != nil || x == nil {
		return id, err
	}
	return managedARN(x), nil
}

// managed finds a managed policy by its ARN: of the caller's account, or one that every
// cluster has, of which there is no row. Both nil: there is none.
func (c *call) managed(s string) (*fsm.Policy, *builtin, error) {
	if b := builtinByARN(s); b != nil {
		return nil, b, nil
	}
	path, name, ok := parseARN(s, c.account(), "policy")
	if !ok {
		return nil, nil, nil
	}
	x, err := c.view.PolicyByName(c.account(), name)
	if err != nil || x == nil || x.Path != path || x.Name != name {
		return nil, nil, err // names are found in any case of letters, ARNs are authorised as they are
	}
	return x, nil, nil
}
