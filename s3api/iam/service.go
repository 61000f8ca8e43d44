package iam

import (
	"cmp"
	"context"
	"net/url"
	"strconv"
	"time"

	"ironman/fsm"
	"ironman/s3api/policy"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// The services, as signatures name them.
const (
	ServiceIAM = "iam"
	ServiceSTS = "sts"
)

// Seals keeps secrets under the cluster's keyring.
type Seals interface {
	// Seal encrypts the secret of an access key, bound to its id.
	Seal(accessKey string, secret sig.Secret) []byte
	// SealSession encrypts what a session token holds, bound to the session's key id.
	SealSession(accessKey string, plain []byte) (token string)
}

// Service serves both APIs. Safe for concurrent use.
type Service struct {
	Seals Seals
	Now   func() time.Time
	// Providers verifies tokens of web identities; nil: none are taken.
	Providers Providers

	parsed parsedCache
}

// Request is one call, verified.
type Request struct {
	Form      url.Values
	Service   string // that the signature is for
	RequestID string
	View      *fsm.View
	Caller    *Caller
	// Context holds the condition keys of the connection and the caller; the call adds
	// those of its own.
	Context *policy.Context
	// Propose agrees on an event; reason says why it is allowed.
	Propose func(ctx context.Context, reason *event.Reason, d *event.Draft) (*event.Outcome, error)
	// Pause gives the view back while something takes long, and opens a new one.
	Pause func(ctx context.Context, long func()) (*fsm.View, error)
}

// Operation finds what a call asks for, and whether it may come unsigned. The error is
// an *Error.
func Operation(form url.Values) (name, service string, unsigned bool, err error) {
	action := form.Get("Action")
	if action == "" {
		return "", "", false, Refuse("MissingAction", "The request does not name an action.")
	}
	op := find(action)
	if op == nil {
		return "", "", false, Refuse("InvalidAction", "Could not find operation %s for version %s", action, form.Get("Version"))
	}
	return op.name, op.service, op.unsigned, nil
}

// Serve answers a call with the document of its success.
func (s *Service) Serve(ctx context.Context, r *Request) ([]byte, error) {
	op := find(r.Form.Get("Action"))
	if op == nil {
		_, _, _, err := Operation(r.Form)
		return nil, err
	}
	if r.Service != op.service && !op.unsigned {
		return nil, Refuse("SignatureDoesNotMatch", "Credential should be scoped to correct service: '%s'.", op.service)
	}
	c := &call{Service: s, ctx: ctx, op: op, request: r, form: form{values: r.Form, service: op.service}, view: r.View, caller: r.Caller}
	resource, err := op.on(c)
	if err == nil {
		err = c.form.err
	}
	if err != nil {
		return nil, err
	}
	if err := c.describeRequest(); err != nil {
		return nil, err
	}
	if !op.unsigned {
		if err := c.authorise(resource); err != nil {
			return nil, err
		}
		if err := c.authoriseTags(resource); err != nil {
			return nil, err
		}
	}
	result, err := op.handle(c)
	if err != nil {
		return nil, err
	}
	return document(answer{op.name, op.service, r.RequestID, result}), nil
}

// call is a call being served.
type call struct {
	*Service
	ctx     context.Context
	op      *operation
	request *Request
	form    form
	view    *fsm.View
	caller  *Caller
	reason  *event.Reason
	// asked is the resource as the caller named it: a refusal must not tell by the path
	// that it is there. "": as it is.
	asked string

	// What the call is about, as found before it was authorised; nil: it is not there.
	subject *fsm.Principal
	was     []byte      // the subject's portrait as it was read, before anything of it is changed
	policy  *fsm.Policy // managed; or
	builtin *builtin
}

// account is the caller's; "" for nobody's.
func (c *call) account() string {
	if c.caller == nil {
		return ""
	}
	return c.caller.Account.GetAccount()
}

// describeRequest puts what the call asks for into the context of conditions.
func (c *call) describeRequest() error {
	ctx := c.request.Context
	boundary, err := c.boundaryInQuestion()
	if err != nil {
		return err
	}
	if boundary != "" {
		ctx.Set("iam:PermissionsBoundary", boundary)
	}
	c.describeSubject()
	if c.op.unsigned { // no more of its form than what its own parameters are
		return nil
	}
	var keys []string
	for i, k := range c.form.list("Tags", ".Key") {
		ctx.Set("aws:RequestTag/"+k, c.form.values.Get("Tags.member."+strconv.Itoa(i+1)+".Value"))
		keys = append(keys, k)
	}
	keys = append(keys, c.form.list("TagKeys", "")...)
	if keys != nil {
		ctx.Set("aws:TagKeys", keys...)
	}
	return nil
}

// describeSubject puts the tags of what the call is about into the context.
func (c *call) describeSubject() {
	ctx := c.request.Context
	tags := c.subject.GetTags().GetTags()
	if c.policy != nil {
		tags = c.policy.Tags.GetTags()
	}
	for _, t := range tags {
		ctx.Set("aws:ResourceTag/"+t.Key, t.Value)
		ctx.Set("iam:ResourceTag/"+t.Key, t.Value)
	}
}

// propose agrees on an event; about is what a refusal is about.
func (c *call) propose(about string, d *event.Draft) (*event.Outcome, error) {
	o, err := c.request.Propose(c.ctx, c.reason, d)
	if err != nil {
		return nil, err
	}
	if o.Refusal != event.Refusal_REFUSAL_NONE {
		return nil, refusal(o.Refusal, about)
	}
	return o, nil
}

// authorise decides on the call's action on a resource.
func (c *call) authorise(resource string) error {
	return c.decide(c.op.service+":"+c.op.name, resource)
}

// authoriseTags decides on the tags that what is made is to have: they take the right to
// tag it.
func (c *call) authoriseTags(resource string) error {
	action := c.op.tagging()
	if action == "" || len(c.form.list("Tags", ".Key")) == 0 {
		return nil
	}
	kept := c.reason // of the call itself
	err := c.decide(action, resource)
	c.reason = kept
	return err
}

// tagging is the action that tags what an operation makes; "": it is no other than its
// own, or decided elsewhere.
func (op *operation) tagging() string {
	switch op.name {
	case "CreatePolicy":
		return "iam:TagPolicy"
	case "CreateRole":
		return "iam:TagRole"
	case "CreateOpenIDConnectProvider":
		return "iam:TagOpenIDConnectProvider"
	case "CreateUser":
		return "iam:TagUser"
	case "GetFederationToken":
		return "sts:TagSession"
	}
	return ""
}

// decide decides on an action on a resource, and keeps the reason.
func (c *call) decide(action, resource string) error {
	c.reason = &event.Reason{Kind: event.ReasonKind_REASON_KIND_OWNER, View: c.view.Applied().Next}
	denied := Refuse("AccessDenied", "User: %s is not authorized to perform: %s on resource: %s", c.caller.ARN(), action, cmp.Or(c.asked, resource))
	if !c.op.session(c.caller.Session) {
		return denied
	}
	authority, err := c.Authority(c.view, c.caller)
	if err != nil || authority == nil {
		return err
	}
	r := &policy.Request{Caller: c.caller.Policy(), Action: action, Resource: resource, Context: c.request.Context}
	if c.op.free {
		if authority.denies(r) && c.op.name != "GetCallerIdentity" {
			return denied
		}
		return nil
	}
	if c.caller.principal() == nil { // an account's session that is narrowed
		if _, _, o := authority.Judge(r); !within(o) {
			return denied
		}
		return nil
	}
	if !authority.allows(r) {
		return denied
	}
	o, _, _ := authority.Judge(r)
	c.reason = &event.Reason{
		Kind: event.ReasonKind_REASON_KIND_IDENTITY_POLICY, View: c.view.Applied().Next,
		Position: o.Position, Policy: o.Policy, Statement: o.Statement,
	}
	return nil
}

// session tells whether a session may call at all. Those that a key began are for
// data: they make no identities, and no sessions but a role's.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
func (op *operation) session(t *Session) bool {
	switch {
	case t == nil || t.Kind == RoleSession:
		return t == nil || op.name != "GetSessionToken" && op.name != "GetFederationToken"
	case op.name == "GetCallerIdentity":
		return true
	}
	return op.name == "AssumeRole" && t.Kind == KeySession
}
