package policy

import (
	"errors"
	"strings"
)

// statement is one rule of a policy.
type statement struct {
	sid   string
	allow bool // else it denies

	principals   *principals // nil: a policy of an identity
	notPrincipal bool        // everybody but those

	actions   []pattern // in lower case
	notAction bool

	resources     []arn // empty: a trust policy
	resourceTexts []string
	notResource   bool

	conditions []*condition
	// needs are the variables whose value would only take from what the statement speaks
	// of: those of NotResource, and of negated conditions. Without them an allowance
	// would be wider than it was meant.
	needs pattern
}

// noteVariables notes the variables of a text; needed: the statement needs them.
func (p *Policy) noteVariables(s *statement, text string, needed bool) {
	if !p.variables {
		return
	}
	p.keys = append(p.keys, variablesIn(text)...)
	if !needed {
		return
	}
	tokens, _ := compile(text, syntax{wildcards: true, variables: true})
	for _, t := range tokens {
		if t.kind == variable {
			s.needs = append(s.needs, t)
		}
	}
}

// parseStatement reads a statement and checks it as a whole.
func (p *Policy) parseStatement(n *node) (*statement, error) {
	if n.kind != '{' {
		return nil, p.kind.syntax("Statement")
	}
	s := new(statement)
	effect := false
	for _, f := range n.fields {
		var err error
		switch f.name {
		case "Sid":
			if !f.value.isString() {
				return nil, p.kind.syntax("Sid")
			}
			s.sid = f.value.text
		case "Effect":
			effect = true
			if f.value.text != "Allow" && f.value.text != "Deny" || !f.value.isString() {
				return nil, p.kind.refuse("Invalid effect : "+f.value.text, "Syntax errors in policy.", f.value.text)
			}
			s.allow = f.value.text == "Allow"
		case "Principal", "NotPrincipal":
			err = p.readPrincipal(s, f)
		case "Action", "NotAction":
			err = p.readActions(s, f)
		case "Resource", "NotResource":
			err = p.readResources(s, f)
		case "Condition":
			err = p.readConditions(s, f.value)
		default:
			return nil, p.kind.refuse("Unknown field "+f.name, "Syntax errors in policy.", f.name)
		}
		if err != nil {
			return nil, err
		}
	}
	if !effect {
		return nil, p.kind.missing("Effect")
	}
	return s, p.checkStatement(s)
}

func (p *Policy) readPrincipal(s *statement, f field) (err error) {
	if p.kind == Identity || p.kind == Session {
		return p.kind.refuse("", "Policy document should not specify a principal.", "")
	}
	if s.principals != nil {
		return p.kind.syntax(f.name)
	}
	s.notPrincipal = f.name == "NotPrincipal"
	s.principals, err = parsePrincipals(p.kind, f.value)
	return err
}

func (p *Policy) readActions(s *statement, f field) error {
	texts, ok := f.value.strings()
	if !ok || s.actions != nil {
		return p.kind.badAction(f.name)
	}
	s.notAction = f.name == "NotAction"
	for _, text := range texts {
		a, err := compile(strings.ToLower(text), syntax{wildcards: true})
		if err != nil || !p.kind.actionAllowed(text, a) {
			return p.kind.badAction(text)
		}
		s.actions = append(s.actions, a)
	}
	return nil
}

func (k Kind) badAction(detail string) *Error {
	if k == Trust {
		return k.refuse("", "AssumeRole policy may only specify STS AssumeRole actions.", detail)
	}
	return k.refuse("Policy has invalid action", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", detail)
}

// actionAllowed reports whether a policy of the kind may speak of an action. Amazon's
// identity policies take any name, for services come and go; those of buckets and
// roles only what is there.
func (k Kind) actionAllowed(text string, a pattern) bool {
	vendor, name, ok := strings.Cut(text, ":")
	switch k {
	case Bucket:
		return text == "*" || strings.EqualFold(vendor, "s3") && matchesAction(a)
	case Trust:
		for _, name := range [...]string{"assumerole", "assumerolewithsaml", "assumerolewithwebidentity", "setsourceidentity", "tagsession"} {
			if a.match("sts:" + name) {
				return strings.EqualFold(vendor, "sts")
			}
		}
		return false
	}
	return text == "*" || ok && name != "" && ValidKey(strings.NewReplacer("*", "x", "?", "x").Replace(text)) && !strings.ContainsAny(vendor, "*?/")
}

func (p *Policy) readResources(s *statement, f field) error {
	if p.kind == Trust {
		return p.kind.refuse("", "Has prohibited field "+f.name, "")
	}
	texts, ok := f.value.strings()
	if !ok || s.resources != nil {
		return p.kind.badResource(f.name)
	}
	s.notResource = f.name == "NotResource"
	for _, text := range texts {
		a, err := compileARN(text, syntax{wildcards: true, variables: p.variables})
		if err != nil || !p.kind.resourceAllowed(text, &a) {
			return p.kind.badResource(text)
		}
		s.resources = append(s.resources, a)
		s.resourceTexts = append(s.resourceTexts, text)
		p.noteVariables(s, text, s.notResource)
	}
	return nil
}

func (k Kind) badResource(detail string) *Error {
	return k.refuse("Policy has invalid resource", "Resource "+detail+` must be in ARN format or "*".`, detail)
}

func (k Kind) resourceAllowed(text string, a *arn) bool {
	if k == Bucket {
		return text == "*" || strings.Count(text, ":") >= arnSegments-1 && a.s3Resource()
	}
	return text == "*" || strings.HasPrefix(text, "arn:")
}

// readConditions reads {operator: {key: value or values}}.
func (p *Policy) readConditions(s *statement, n *node) error {
	if n.kind != '{' {
		return p.kind.syntax("Condition")
	}
	for _, op := range n.fields {
		if op.value.kind != '{' {
			return p.kind.syntax(op.name)
		}
		for _, f := range op.value.fields {
			if err := p.readCondition(s, op.name, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Policy) readCondition(s *statement, operator string, f field) error {
	if !p.kind.keyAllowed(f.name) {
		return p.kind.refuse("Policy has an invalid condition key", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", f.name)
	}
	texts, ok := f.value.scalars()
	if !ok {
		return p.kind.syntax(f.name)
	}
	c, err := parseCondition(operator, f.name, texts, p.variables)
	if errors.Is(err, errOperator) {
		return p.kind.refuse("Invalid Condition type : "+operator, "Invalid Condition type : "+operator, operator)
	}
	if err != nil {
		return p.kind.refuse("Policy has an invalid condition value", "Syntax errors in policy.", f.name+": "+err.Error())
	}
	s.conditions = append(s.conditions, c)
	p.keys = append(p.keys, f.name)
	for _, text := range texts {
		p.noteVariables(s, text, c.operator.negated)
	}
	return nil
}

// scalars gives strings, numbers and booleans as texts: one, or an array of them.
func (n *node) scalars() ([]string, bool) {
	var out []string
	for _, item := range n.list() {
		if item.kind != 0 {
			return nil, false
		}
		out = append(out, item.text)
	}
	return out, len(out) > 0
}

// checkStatement is what can be said only of a whole statement.
func (p *Policy) checkStatement(s *statement) error {
	k := p.kind
	switch {
	case s.actions == nil:
		return k.refuse("Missing required field Action", "Policy statement must contain actions.", "")
	case s.resources == nil && k != Trust:
		return k.refuse("Missing required field Resource", "Policy statement must contain resources.", "")
	case s.principals == nil && (k == Bucket || k == Trust):
		return k.missing("Principal")
	case s.notPrincipal && s.allow:
		return k.refuse("Allow with NotPrincipal is not allowed.", "Allow with NotPrincipal is not allowed.", "")
	}
	if k != Bucket || s.notAction || s.notResource {
		return nil
	}
	var named resource
	for i := range s.resources {
		named |= s.resources[i].resources()
	}
	if named&buckets != 0 {
		// A bucket whose keys are not named has no object that is: the statement says
		// nothing of any. Amazon refuses it, Ceph does not, and it harms nobody.
		named |= objects
	}
	for _, a := range s.actions {
		if !appliesTo(a, named) {
			return k.refuse("Action does not apply to any resource(s) in statement", "", "")
		}
	}
	return nil
}
