package policy

import (
	"strings"

	"ironman/s3api/access"
)

// Named is a policy and the id that decisions name it by.
type Named struct {
	ID string
	*Policy
}

// Request is what policies are asked about.
type Request struct {
	Caller Caller
	// Action is Amazon's name of it ("s3:GetObject").
	Action string
	// Resource is an ARN ("arn:aws:s3:::bucket/key"); empty: the service, which only
	// "*" means.
	Resource string
	Context  *Context
}

// Evaluate says what policies say, taken together: a denial of any counts, else an
// allowance of any, one that names the caller itself before others. The opinion points
// at the statement.
func Evaluate(policies []Named, r *Request) access.Opinion {
	var o access.Opinion
	action := strings.ToLower(r.Action)
	for _, p := range policies {
		for i, s := range p.statements {
			reach := s.applies(r, action)
			if reach == notNamed || s.allow && o.Verdict == access.Allow && (o.Direct || reach != itself) {
				continue
			}
			o = access.Opinion{Policy: p.ID, Statement: s.sid, Position: uint32(i), Verdict: access.Allow, Direct: reach == itself}
			if !s.allow {
				o.Verdict, o.Direct = access.Deny, false
				return o
			}
		}
	}
	return o
}

// applies says whether a statement speaks of the request, and how exactly it names
// its caller. Policies of identities name nobody and mean whoever has them.
func (s *statement) applies(r *Request, action string) reach {
	reach := named
	switch {
	case s.principals == nil:
	case s.notPrincipal:
		if s.principals.spares(&r.Caller) {
			return notNamed
		}
	default:
		reach = s.principals.names(&r.Caller)
	}
	if reach == notNamed || !s.appliesTo(r, action) {
		return notNamed
	}
	if s.allow && len(s.needs) > 0 {
		if _, ok := s.needs.bind(r.Context); !ok {
			return notNamed
		}
	}
	for _, c := range s.conditions {
		if !c.holds(r.Context) {
			return notNamed
		}
	}
	return reach
}

// appliesTo compares action and resource.
func (s *statement) appliesTo(r *Request, action string) bool {
	found := false
	for i := 0; i < len(s.actions) && !found; i++ {
		found = s.actions[i].match(action)
	}
	if found == s.notAction {
		return false
	}
	if len(s.resources) == 0 { // of a role's trust policy: the role
		return true
	}
	found = false
	for i := 0; i < len(s.resources) && !found; i++ {
		found = s.resourceTexts[i] == "*" || s.resources[i].match(r.Context, r.Resource)
	}
	return found != s.notResource
}
