package iam

import (
	"ironman/fsm"
	"ironman/s3api/policy"
)

// Caller is who asks, as the state knows it: an account itself, one of its users, or
// a session of either or of a role.
type Caller struct {
	AccessKey string
	Account   *fsm.Account
	User      *fsm.Principal // nil: no user
	Role      *fsm.Principal // of a role's session; nil: none
	Session   *Session       // nil: a key that lasts
}

// principal is whose policies count; nil: the account itself.
func (c *Caller) principal() *fsm.Principal {
	if c.Role != nil {
		return c.Role
	}
	return c.User
}

// ID is the unique id, as aws:userid has it. It is the principal of events.
func (c *Caller) ID() string {
	switch {
	case c.Role != nil:
		return c.Role.Principal + ":" + c.Session.Name
	case c.federated():
		return c.Account.Account + ":" + c.Session.Name
	case c.User != nil:
		return c.User.Principal
	}
	return c.Account.GetAccount()
}

// federated reports whether it is a session of GetFederationToken.
func (c *Caller) federated() bool { return c.Session != nil && c.Session.Kind == FederatedSession }

// ARN names who asks.
func (c *Caller) ARN() string {
	account := c.Account.GetAccount()
	switch {
	case c.Role != nil:
		return "arn:aws:sts::" + account + ":assumed-role/" + c.Role.Name + "/" + c.Session.Name
	case c.federated():
		return "arn:aws:sts::" + account + ":federated-user/" + c.Session.Name
	case c.User != nil:
		return ARN(c.User)
	}
	return rootARN(account)
}

// Policy is the caller by all names that a policy can use.
func (c *Caller) Policy() policy.Caller {
	if c == nil || c.Account == nil {
		return policy.Caller{}
	}
	p := policy.Caller{Account: c.Account.Account, CanonicalID: c.Account.CanonicalId, ARN: c.ARN()}
	if c.Role != nil {
		p.Role = ARN(c.Role)
	}
	if c.federated() && c.User != nil {
		p.User = ARN(c.User)
	}
	return p
}

// Type is the value of aws:PrincipalType.
func (c *Caller) Type() string {
	switch {
	case c == nil || c.Account == nil:
		return "Anonymous"
	case c.Role != nil:
		return "AssumedRole"
	case c.federated():
		return "FederatedUser"
	case c.User != nil:
		return "User"
	}
	return "Account"
}

// Tags are those of the principal, and of its session, which go before.
func (c *Caller) Tags() []policy.Tag {
	if c == nil {
		return nil
	}
	var out []policy.Tag
	seen := make(map[string]bool)
	if c.Session != nil {
		for _, t := range c.Session.Tags {
			out = append(out, policy.Tag(t))
			seen[tagKey(t.Key)] = true
		}
	}
	if p := c.principal(); p != nil {
		for _, t := range p.Tags.GetTags() {
			if !seen[tagKey(t.Key)] {
				out = append(out, policy.Tag{Key: t.Key, Value: t.Value})
			}
		}
	}
	return out
}
