package iam

import (
	"slices"
	"strconv"
	"strings"

	"ironman/s3api/access"
	"ironman/s3api/policy"
	"ironman/wal/event"
)

// Bounds of one simulation: its answers, and the missing values that all of them name.
const (
	maxSimulated = 1000
	maxMissing   = 100_000
)

type matchedXML struct{ SourcePolicyId, SourcePolicyType string }

type evaluationXML struct {
	EvalActionName       string
	EvalResourceName     string
	EvalDecision         string
	MatchedStatements    []matchedXML `xml:"MatchedStatements>member"`
	MissingContextValues []string     `xml:"MissingContextValues>member"`
}

type simulationResult struct {
	EvaluationResults []evaluationXML `xml:"EvaluationResults>member"`
	page
}

// simulateCustomPolicy says what the given policies would say, of whoever has them.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
func (c *call) simulateCustomPolicy() (any, error) {
	a := &Authority{}
	c.form.need("PolicyInputList.member.1")
	if err := c.inputs(a); err != nil {
		return nil, err
	}
	return c.simulate(a, &policy.Facts{})
}

// inputs adds the policies that a simulation brings along. A boundary stands in for the
// principal's own.
func (c *call) inputs(a *Authority) error {
	for _, name := range [...]string{"ResourcePolicy", "ResourceOwner", "ResourceHandlingOption", "CallerArn", "PolicyExclusionList"} {
		if c.form.values.Get(name) != "" || c.form.has(name+".member.") { // silence would be a wrong answer
			return Refuse("InvalidInput", "This service does not simulate with %s.", name)
		}
	}
	a.identity = append(a.identity, c.form.policies("PolicyInputList")...)
	if bounds := c.form.policies("PermissionsBoundaryPolicyInputList"); bounds != nil {
		a.bounded, a.boundary = true, bounds
	}
	return c.form.err
}

// policies are those that a call brings along as a list.
func (f *form) policies(name string) []policy.Named {
	var out []policy.Named
	for i, text := range f.list(name, "") {
		p, err := policy.Parse([]byte(text), policy.Identity)
		if err != nil {
			f.fail(malformed(err))
			return nil
		}
		out = append(out, policy.Named{ID: name + "." + strconv.Itoa(i+1), Policy: p})
	}
	return out
}

// onSource finds whose policies are simulated: a user, group or role of the account.
func onSource(c *call) (string, error) {
	s := c.form.need("PolicySourceArn")
	for _, kind := range [...]event.PrincipalKind{user, group, role} {
		path, name, ok := parseARN(s, c.account(), noun(kind))
		if !ok {
			continue
		}
		x, err := c.view.PrincipalByName(c.account(), kind, name)
		if err == nil && x != nil && x.Path == path && x.Name == name {
			c.subject = x
		}
		return s, err
	}
	return s, c.form.err
}

// ofSource are the policies of the call's subject, which must be there.
func (c *call) ofSource() (*Authority, error) {
	if c.subject == nil {
		return nil, Refuse("NoSuchEntity", "The entity %s cannot be found.", c.form.values.Get("PolicySourceArn"))
	}
	owned, err := c.view.Authority(c.subject.Principal)
	if err != nil {
		return nil, err
	}
	a := &Authority{}
	c.read(a, owned)
	return a, nil
}

// simulatePrincipalPolicy says what a principal's policies say.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
func (c *call) simulatePrincipalPolicy() (any, error) {
	a, err := c.ofSource()
	if err != nil {
		return nil, err
	}
	if err := c.inputs(a); err != nil {
		return nil, err
	}
	return c.simulate(a, c.simulated())
}

// simulated is what is known of the call's subject as a caller: of a role without a session
// of it, and of a group, which never calls, its account alone.
func (c *call) simulated() *policy.Facts {
	x, account := c.subject, c.caller.Account
	f := &policy.Facts{Caller: policy.Caller{Account: account.Account, CanonicalID: account.CanonicalId}}
	switch x.Kind {
	case user:
		who := &Caller{Account: account, User: x}
		f.Caller, f.UserName, f.UserID, f.PrincipalType, f.PrincipalTags = who.Policy(), x.Name, who.ID(), who.Type(), who.Tags()
	case role:
		who := &Caller{Account: account, Role: x}
		f.Caller.ARN, f.Caller.Role, f.PrincipalType, f.PrincipalTags = ARN(x), ARN(x), who.Type(), who.Tags()
	}
	return f
}

// simulate asks for each action on each resource.
func (c *call) simulate(a *Authority, who *policy.Facts) (any, error) {
	actions, resources := c.form.list("ActionNames", ""), c.form.list("ResourceArns", "")
	if len(actions) == 0 {
		return nil, invalid("The parameter ActionNames is missing or empty.")
	}
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	if len(actions)*len(resources) > maxSimulated {
		return nil, Refuse("InvalidInput", "There may be at most %d pairs of actions and resources.", maxSimulated)
	}
	ctx := policy.NewPrincipalContext(who)
	c.addEntries(ctx)
	if c.form.err != nil {
		return nil, c.form.err
	}
	missing := slices.DeleteFunc(a.keys(), ctx.Has)
	if len(actions)*len(resources)*len(missing) > maxMissing {
		return nil, Refuse("InvalidInput", "The answer would name more than %d missing values: simulate less at once.", maxMissing)
	}
	var out simulationResult
	for _, action := range actions {
		if !strings.Contains(action, ":") {
			return nil, Refuse("InvalidInput", "Invalid Action: %s", action)
		}
		for _, resource := range resources {
			e := evaluationXML{EvalActionName: action, EvalResourceName: resource, EvalDecision: "implicitDeny", MissingContextValues: missing}
			r := &policy.Request{Caller: who.Caller, Action: action, Resource: resource, Context: ctx}
			o, _, _ := a.Judge(r)
			switch {
			case a.denies(r):
				e.EvalDecision = "explicitDeny"
			case a.allows(r):
				e.EvalDecision = "allowed"
			}
			if o.Verdict != access.Silent && o.Policy != "" {
				e.MatchedStatements = []matchedXML{{o.Policy, "IAM Policy"}}
			}
			out.EvaluationResults = append(out.EvaluationResults, e)
		}
	}
	return out, nil
}

// addEntries adds the condition keys that a simulation assumes. They go before what is
// known of the caller.
func (c *call) addEntries(ctx *policy.Context) {
	for i, key := range c.form.list("ContextEntries", ".ContextKeyName") {
		ctx.Set(key, c.form.list("ContextEntries.member."+strconv.Itoa(i+1)+".ContextKeyValues", "")...)
	}
}
