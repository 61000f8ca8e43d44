package policy

import (
	"slices"
	"strings"
)

// Caller is who asks, by all names that a policy can use. The zero value is anonymous:
// only "everybody" means it.
type Caller struct {
	Account     string // the account's number
	CanonicalID string // the account's canonical id
	// ARN is that of the principal itself: the account's root
	// (arn:aws:iam::1:root), a user, or a role's session (arn:aws:sts::1:assumed-role/...).
	ARN string
	// Role is the ARN of the role whose session it is.
	Role string
	// User is the ARN of the user that vouched for a federated user: what a statement
	// says of the one it says of the other.
	User string
	// Federated is the provider that vouched for it, Service the service it is.
	Federated, Service string
}

func (c *Caller) root() string { return "arn:aws:iam::" + c.Account + ":root" }

// principals are those that a statement names.
type principals struct {
	everybody bool
	aws       []string // ARNs; an account's is that of its root
	canonical []string
	service   []string
	federated []string
}

// reach is how exactly a statement names a caller.
type reach uint8

const (
	notNamed reach = iota
	named          // by everybody, its account, its role or its user
	itself         // by its own ARN, or that of the provider that vouched for it
)

// names says whether the caller is meant.
func (p *principals) names(c *Caller) reach {
	switch {
	case c.ARN != "" && c.ARN != c.root() && slices.Contains(p.aws, c.ARN),
		c.Federated != "" && slices.Contains(p.federated, c.Federated):
		return itself
	case p.everybody,
		c.Account != "" && slices.Contains(p.aws, c.root()),
		c.CanonicalID != "" && slices.Contains(p.canonical, c.CanonicalID),
		c.Role != "" && slices.Contains(p.aws, c.Role),
		c.User != "" && slices.Contains(p.aws, c.User),
		c.Service != "" && slices.Contains(p.service, c.Service):
		return named
	}
	return notNamed
}

// spares reports whether a NotPrincipal leaves the caller out. Amazon asks that all of
// its principals stand there: the user's and its account, the session's with its
// role and account. Who forgets one denies more, never less.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func (p *principals) spares(c *Caller) bool {
	if p.everybody {
		return true
	}
	if c.Service != "" {
		return slices.Contains(p.service, c.Service)
	}
	if c.Federated != "" {
		return slices.Contains(p.federated, c.Federated)
	}
	if c.Account == "" {
		return false
	}
	if !slices.Contains(p.aws, c.root()) && !slices.Contains(p.canonical, c.CanonicalID) {
		return false
	}
	own := c.ARN == "" || c.ARN == c.root() || slices.Contains(p.aws, c.ARN)
	return own && (c.Role == "" || slices.Contains(p.aws, c.Role))
}

// parsePrincipals reads the element Principal or NotPrincipal.
func parsePrincipals(k Kind, n *node) (*principals, error) {
	if n.isString() {
		if n.text != "*" {
			return nil, k.badPrincipal(n.text)
		}
		return &principals{everybody: true}, nil
	}
	if n.kind != '{' || len(n.fields) == 0 {
		return nil, k.badPrincipal("")
	}
	p := new(principals)
	for _, f := range n.fields {
		names, ok := f.value.strings()
		if !ok {
			return nil, k.badPrincipal(f.name)
		}
		for _, name := range names {
			if !p.add(f.name, name) {
				return nil, k.badPrincipal(`"` + f.name + `" : "` + name + `"`)
			}
		}
	}
	return p, nil
}

func (k Kind) badPrincipal(detail string) *Error {
	iam := "Invalid principal in policy"
	if detail != "" {
		iam += ": " + detail
	}
	return k.refuse("Invalid principal in policy", iam, detail)
}

func (p *principals) add(kind, name string) bool {
	switch kind {
	case "AWS":
		switch {
		case name == "*":
			p.everybody = true
		case isAccount(name):
			p.aws = append(p.aws, "arn:aws:iam::"+name+":root")
		case isPrincipalARN(name):
			p.aws = append(p.aws, name)
		default:
			return false
		}
	case "CanonicalUser":
		p.canonical = append(p.canonical, strings.ToLower(name))
		return isHex(name)
	case "Service":
		p.service = append(p.service, name)
		return strings.Contains(name, ".") && !strings.ContainsAny(name, "*?/: ")
	case "Federated":
		p.federated = append(p.federated, name)
		return name != "" && !strings.ContainsAny(name, "*? ")
	default:
		return false
	}
	return true
}

func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }

func isHex(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// isPrincipalARN: an account's root, a user, role or session by its whole name. There
// are no wildcards in principals. Accounts of other forms than ours are somebody
// else's, and nobody here; Ceph's tests name them.
func isPrincipalARN(s string) bool {
	parts := strings.SplitN(s, ":", arnSegments)
	if len(parts) != arnSegments || parts[0] != "arn" || parts[1] != "aws" || parts[3] != "" || parts[4] == "" || strings.ContainsAny(s, "*? ") {
		return false
	}
	kind, name, _ := strings.Cut(parts[5], "/")
	switch parts[2] {
	case "iam":
		return parts[5] == "root" || (kind == "user" || kind == "role") && name != ""
	case "sts":
		return (kind == "assumed-role" || kind == "federated-user") && name != ""
	}
	return false
}

// Accounts are the account numbers that the policy's principals name, each once, in
// their order; canonical ids are the other names of accounts. Whoever stores a policy
// refuses one that names nobody.
func (p *Policy) Accounts() (numbers, canonicalIDs []string) {
	for _, s := range p.statements {
		if s.principals == nil {
			continue
		}
		for _, a := range s.principals.aws {
			if n := strings.Split(a, ":")[4]; !slices.Contains(numbers, n) {
				numbers = append(numbers, n)
			}
		}
		for _, id := range s.principals.canonical {
			if !slices.Contains(canonicalIDs, id) {
				canonicalIDs = append(canonicalIDs, id)
			}
		}
	}
	return numbers, canonicalIDs
}

// InvalidPrincipal is the error for a principal that is well-formed and nobody.
func InvalidPrincipal(k Kind, name string) *Error { return k.badPrincipal(`"AWS" : "` + name + `"`) }
