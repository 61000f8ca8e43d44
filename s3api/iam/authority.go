package iam

import (
	"slices"
	"sync"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/policy"
)

// Authority is what the policies of a caller say, parsed: the principal's own and its
// groups', what bounds it, and what its session was begun with. Made for one request.
type Authority struct {
	identity          []policy.Named
	boundary, session []policy.Named
	bounded, narrowed bool // there is a boundary; there are session policies
	// unreadable: a policy is written in a language newer than this release, or is gone.
	unreadable bool
}

// Judge says what they say of a request. boundary and session are nil where there is
// nothing of the kind.
func (a *Authority) Judge(r *policy.Request) (identity access.Opinion, boundary, session *access.Opinion) {
	if a.unreadable {
		return access.Opinion{Verdict: access.Deny}, nil, nil
	}
	identity = policy.Evaluate(a.identity, r)
	if a.bounded {
		o := policy.Evaluate(a.boundary, r)
		boundary = &o
	}
	if a.narrowed {
		o := policy.Evaluate(a.session, r)
		session = &o
	}
	return identity, boundary, session
}

// allows is Judge in a word: allowed by the principal's policies, within its bounds,
// and nowhere denied.
func (a *Authority) allows(r *policy.Request) bool {
	identity, boundary, session := a.Judge(r)
	return identity.Verdict == access.Allow && within(boundary) && within(session)
}

func within(o *access.Opinion) bool { return o == nil || o.Verdict == access.Allow }

// denies reports whether any of them denies outright.
func (a *Authority) denies(r *policy.Request) bool {
	identity, boundary, session := a.Judge(r)
	return identity.Verdict == access.Deny || boundary != nil && boundary.Verdict == access.Deny ||
		session != nil && session.Verdict == access.Deny
}

// Authority collects what the policies of a caller say; nil for an account itself
// that nothing narrows: it may do all that its account may.
func (s *Service) Authority(v *fsm.View, c *Caller) (*Authority, error) {
	a := &Authority{}
	if p := c.principal(); p != nil {
		owned, err := v.Authority(p.Principal)
		if err != nil {
			return nil, err
		}
		s.read(a, owned)
	}
	if c.Session != nil {
		if err := s.narrow(v, a, c.Session); err != nil {
			return nil, err
		}
	}
	if c.principal() == nil && !a.narrowed {
		return nil, nil
	}
	return a, nil
}

// read parses what a principal has.
func (s *Service) read(a *Authority, owned *fsm.Authority) {
	for i := range owned.Policies {
		a.identity = append(a.identity, s.named(a, &owned.Policies[i], policy.Identity))
	}
	if owned.Boundary != nil {
		a.bounded = true
		a.boundary = append(a.boundary, s.named(a, owned.Boundary, policy.Identity))
	}
}

// keys are the condition keys that any of the policies asks for.
func (a *Authority) keys() []string {
	return policy.Keys(slices.Concat(a.identity, a.boundary, a.session))
}

// narrow parses what a session was begun with.
func (s *Service) narrow(v *fsm.View, a *Authority, t *Session) error {
	if t.Kind == FederatedSession {
		a.narrowed = true // without a policy to nothing
	}
	if t.Policy != "" {
		a.narrowed = true
		a.session = append(a.session, s.named(a, &fsm.OwnedPolicy{Name: "session", Text: []byte(t.Policy)}, policy.Session))
	}
	for _, id := range t.Policies {
		a.narrowed = true
		owned := &fsm.OwnedPolicy{ID: id, Name: id}
		if builtinByARN(id) == nil {
			p, err := v.Policy(id)
			if err != nil {
				return err
			}
			text, err := v.PolicyVersion(id, p.GetDefaultVersion())
			if err != nil {
				return err
			}
			owned.Text = text.GetText() // none: the policy is gone, and denies
		}
		a.session = append(a.session, s.named(a, owned, policy.Identity))
	}
	return nil
}

// named parses a policy, or remembers how it was parsed before.
func (s *Service) named(a *Authority, o *fsm.OwnedPolicy, k policy.Kind) policy.Named {
	text := o.Text
	id := o.ID
	if b := builtinByARN(o.ID); b != nil {
		text = []byte(b.text)
	}
	if id == "" {
		id = "inline:" + o.Name
	}
	p, err := s.parsed.parse(text, k)
	if err != nil {
		a.unreadable = true
		return policy.Named{ID: id, Policy: &policy.Policy{}}
	}
	return policy.Named{ID: id, Policy: p}
}

// maxParsed bounds each of the two generations of a parsedCache.
const maxParsed = 1024

// parsedCache remembers parsed policies by kind and text. When the young generation is
// full it becomes the old one. Safe for concurrent use.
type parsedCache struct {
	mu         sync.Mutex
	young, old map[parsedKey]*policy.Policy
}

type parsedKey struct {
	kind policy.Kind
	text string
}

func (c *parsedCache) parse(text []byte, k policy.Kind) (*policy.Policy, error) {
	key := parsedKey{k, string(text)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.young[key]; p != nil {
		return p, nil
	}
	p := c.old[key]
	if p == nil {
		var err error
		if p, err = policy.Parse(text, k); err != nil {
			return nil, err
		}
	}
	if c.young == nil || len(c.young) >= maxParsed {
		c.young, c.old = make(map[parsedKey]*policy.Policy), c.young
	}
	c.young[key] = p
	return p, nil
}
