package iam

import (
	"strings"
	"time"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/policy"
	"ironman/s3api/sig"
)

// Lengths of sessions in seconds, and of what they are begun with, as Amazon's.
const (
	minDuration      = 900
	defaultSession   = 12 * 3600
	longestSession   = 36 * 3600
	longestOfAccount = 3600 // of an account itself
	longestChained   = 3600 // of a role that a role's session assumes
	defaultRole      = 3600
	maxSessionPolicy = 2048
	maxManagedArns   = 10
)

type credentialsXML struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey shown
	SessionToken    shown
	Expiration      date
}

// begin makes the credentials of a session. Nothing of it is stored.
func (c *call) begin(t *Session, seconds int) (*credentialsXML, error) {
	now := c.Now()
	t.Account = c.accountOf(t)
	t.Issued, t.Expires = now.Unix(), now.Unix()+int64(seconds)
	t.secret = newSecret()
	key := newID("ASIA")
	plain, err := t.marshal()
	if err != nil {
		return nil, err
	}
	if len(plain) > maxToken {
		return nil, Refuse("PackedPolicyTooLarge", "The session's policies and tags are too large.")
	}
	token := c.Seals.SealSession(key, plain)
	clear(plain)
	return &credentialsXML{key, shown{t.secret}, shown{sig.NewSecret(token)}, dateOf(t.Expires * int64(time.Second))}, nil
}

// accountOf is the account of a session: that of its role, else the caller's.
func (c *call) accountOf(t *Session) string {
	if t.Kind == RoleSession {
		return c.subject.Account
	}
	return c.account()
}

// getCallerIdentity says who asks. Nobody can be denied that.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (c *call) getCallerIdentity() (any, error) {
	return struct {
		Arn     string
		UserID  string `xml:"UserId"`
		Account string
	}{c.caller.ARN(), c.caller.ID(), c.account()}, nil
}

// getSessionToken makes temporary credentials of the caller's own.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
func (c *call) getSessionToken() (any, error) {
	c.form.noDevice()
	longest, standard := longestSession, defaultSession
	if c.caller.User == nil {
		longest, standard = longestOfAccount, longestOfAccount
	}
	seconds := c.form.number("DurationSeconds", standard, minDuration, longestSession)
	if c.form.err != nil {
		return nil, c.form.err
	}
	out, err := c.begin(&Session{Kind: KeySession, Principal: c.caller.User.GetPrincipal(), Key: c.caller.AccessKey}, min(seconds, longest))
	return struct{ Credentials *credentialsXML }{out}, err
}

// noDevice refuses a second factor, which nobody can have here.
func (f *form) noDevice() {
	if f.values.Get("SerialNumber") != "" || f.values.Get("TokenCode") != "" {
		f.fail(Refuse("AccessDenied", "MultiFactorAuthentication failed, there are no devices on this service."))
	}
}

// onFederated is a federated user that is to be.
func onFederated(c *call) (string, error) {
	name := c.form.name("Name", 32)
	return "arn:aws:sts::" + c.account() + ":federated-user/" + name, c.form.err
}

// getFederationToken makes credentials of somebody whom the caller vouches for, who
// may do what both the caller's policies and the session's allow.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
func (c *call) getFederationToken() (any, error) {
	t := &Session{Kind: FederatedSession, Principal: c.caller.User.GetPrincipal(), Key: c.caller.AccessKey, Name: c.form.need("Name")}
	longest, standard := longestSession, defaultSession
	if c.caller.User == nil {
		longest, standard = longestOfAccount, longestOfAccount
	}
	seconds := c.form.number("DurationSeconds", standard, minDuration, longestSession)
	c.tagged(t)
	if err := c.scope(t, c.account()); err != nil {
		return nil, err
	}
	if len(t.Name) < 2 {
		return nil, invalid("The value of Name must have 2 to 32 characters.")
	}
	out, err := c.begin(t, min(seconds, longest))
	if err != nil {
		return nil, err
	}
	type federated struct{ FederatedUserId, Arn string }
	return struct {
		Credentials      *credentialsXML
		FederatedUser    federated
		PackedPolicySize int
	}{out, federated{c.account() + ":" + t.Name, "arn:aws:sts::" + c.account() + ":federated-user/" + t.Name}, packed(t)}, nil
}

// packed is how much of the room for a session's policies is taken, in percent.
func packed(t *Session) int { return 100 * len(t.Policy) / maxSessionPolicy }

// scope reads what a session is narrowed by.
func (c *call) scope(t *Session, account string) error {
	if text := c.form.text("Policy"); text != "" {
		if len(text) > maxSessionPolicy {
			return Refuse("PackedPolicyTooLarge", "The session's policy must have at most %d characters.", maxSessionPolicy)
		}
		if _, err := policy.Parse([]byte(text), policy.Session); err != nil {
			return malformed(err)
		}
		t.Policy = text
	}
	arns := c.form.list("PolicyArns", ".arn")
	if len(arns) > maxManagedArns {
		return invalid("There may be at most %d PolicyArns.", maxManagedArns)
	}
	for _, s := range arns {
		id, err := c.sessionPolicy(s, account)
		if err != nil {
			return err
		}
		t.Policies = append(t.Policies, id)
	}
	return c.form.err
}

// tagged gives a session the tags of the form, which whoever asks for it must have the
// right to give.
func (c *call) tagged(t *Session) {
	for _, x := range c.form.tags().GetTags() {
		t.Tags = append(t.Tags, SessionTag{x.Key, x.Value})
	}
}

// sessionPolicy finds a managed policy of the session's account.
func (c *call) sessionPolicy(s, account string) (string, error) {
	if b := builtinByARN(s); b != nil {
		return b.arn(), nil
	}
	if path, name, ok := parseARN(s, account, "policy"); ok {
		p, err := c.view.PolicyByName(account, name)
		if err != nil {
			return "", err
		}
		if p != nil && p.Path == path && p.Name == name {
			return p.Policy, nil
		}
	}
	return "", invalid("The policy %s is not one of the session's account.", s)
}

// onRoleARN finds the role that is to be assumed, of whatever account.
func onRoleARN(c *call) (string, error) {
	s := c.form.need("RoleArn")
	if c.form.err != nil {
		return "", c.form.err
	}
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return "", invalid("%s is invalid", s)
	}
	path, name, ok := parseARN(s, parts[4], "role")
	if !ok {
		return s, nil
	}
	x, err := c.view.PrincipalByName(parts[4], role, name)
	if err == nil && x != nil && x.Path == path && x.Name == name {
		c.subject = x
	}
	return s, err
}

// assumeRole begins a session of a role, if the role's trust policy and the caller's
// own account let it.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (c *call) assumeRole() (any, error) {
	t := &Session{Kind: RoleSession, Name: c.form.sessionName()}
	c.form.noDevice()
	seconds := c.form.number("DurationSeconds", defaultRole, minDuration, 43200)
	if c.form.err != nil {
		return nil, c.form.err
	}
	if err := c.mayAssume(t.Name); err != nil {
		return nil, err
	}
	longest := int(c.subject.MaxSession)
	if c.caller.Role != nil {
		longest = longestChained
	}
	c.tagged(t)
	return c.beginRole(t, seconds, longest)
}

// sessionName is the name of a role's session.
func (f *form) sessionName() string {
	s := f.name("RoleSessionName", 64)
	if f.err == nil && len(s) < 2 {
		f.fail(invalid("The value of RoleSessionName must have 2 to 64 characters."))
	}
	return s
}

type assumedXML struct{ AssumedRoleId, Arn string }

type roleSessionXML struct {
	Credentials      *credentialsXML
	AssumedRoleUser  assumedXML
	PackedPolicySize int
}

// beginRole begins a session of the call's subject, a role that may be assumed.
func (c *call) beginRole(t *Session, seconds, longest int) (*roleSessionXML, error) {
	if err := c.scope(t, c.subject.Account); err != nil {
		return nil, err
	}
	if seconds > longest {
		return nil, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	t.Principal = c.subject.Principal
	out, err := c.begin(t, seconds)
	if err != nil {
		return nil, err
	}
	who := &Caller{Account: &fsm.Account{Account: c.subject.Account}, Role: c.subject, Session: t}
	return &roleSessionXML{out, assumedXML{who.ID(), who.ARN()}, packed(t)}, nil
}

// mayAssume decides whether the caller may assume the role, with the tags it gives.
func (c *call) mayAssume(session string) error {
	denied := Refuse("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.caller.ARN(), c.form.values.Get("RoleArn"))
	if c.caller.principal() == nil {
		return Refuse("AccessDenied", "Roles may not be assumed by root accounts.")
	}
	if c.subject == nil {
		return denied
	}
	trust, err := c.parsed.parse(c.subject.Trust, policy.Trust)
	if err != nil {
		return denied // written in a language newer than this release
	}
	authority, err := c.Authority(c.view, c.caller)
	if err != nil {
		return err
	}
	c.describeSession(session)
	actions := []string{"sts:AssumeRole"}
	if c.form.tags() != nil {
		actions = append(actions, "sts:TagSession")
	}
	for _, action := range actions {
		r := &policy.Request{Caller: c.caller.Policy(), Action: action, Resource: ARN(c.subject), Context: c.request.Context}
		o := policy.Evaluate([]policy.Named{{ID: "trust", Policy: trust}}, r)
		if o.Verdict != access.Allow || authority.denies(r) {
			return denied
		}
		// Of one account, a trust policy that names the caller itself is enough.
		if same := c.subject.Account == c.account(); !(same && o.Direct) && !authority.allows(r) {
			return denied
		}
	}
	return nil
}

// describeSession puts what is known of a session that is to be into the context.
func (c *call) describeSession(name string) {
	ctx := c.request.Context
	ctx.Set("sts:RoleSessionName", name)
	if c.op.unsigned {
		return
	}
	if id := c.form.values.Get("ExternalId"); id != "" {
		ctx.Set("sts:ExternalId", id)
	}
}
