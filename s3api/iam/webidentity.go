package iam

import (
	"context"
	"errors"
	"strings"

	"ironman/s3api/access"
	"ironman/s3api/policy"
)

// Provider is an OpenID Connect provider as an account knows it.
type Provider struct {
	// URL is the issuer of its tokens.
	URL string
	// Clients are for whom its tokens may be, Thumbprints the SHA-1 sums, in hexadecimal,
	// of certificates that it may be known by besides those that the system trusts.
	Clients, Thumbprints []string
}

// WebIdentity is what a token says that was verified.
type WebIdentity struct {
	// Provider is its ARN, Name its URL without the scheme. They are the account's.
	Provider, Name string
	Subject        string
	// Audiences are whom the token is for, those of them that are the provider's clients.
	Audiences []string
	AMR       []string `json:",omitempty"` // how whom it is about proved that (RFC 8176)
}

// Claims are the condition keys that it gives values to.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
func (w *WebIdentity) Claims() []policy.Claim {
	if w == nil {
		return nil
	}
	out := []policy.Claim{
		{Key: "aws:FederatedProvider", Values: []string{w.Provider}}, {Key: w.Name + ":sub", Values: []string{w.Subject}}, {Key: w.Name + ":aud", Values: w.Audiences},
	}
	if len(w.AMR) > 0 {
		out = append(out, policy.Claim{Key: w.Name + ":amr", Values: w.AMR})
	}
	return out
}

// Errors of Providers.
var (
	// ErrToken: the token is not one of the provider's for one of its clients.
	ErrToken = errors.New("the token is not valid")
	// ErrTokenExpired: it was, once.
	ErrTokenExpired = errors.New("the token has expired")
	// ErrProvider: the provider cannot be asked for its keys.
	ErrProvider = errors.New("the provider cannot be asked")
)

// Providers verifies tokens. Safe for concurrent use.
type Providers interface {
	// Issuer is who a token says that it is from, unverified; "": it is no token.
	Issuer(token string) string
	// Verify returns what a token of the provider says, which must be signed by one of
	// its keys, be for one of its clients, and hold now. The error is one of the above.
	Verify(ctx context.Context, p *Provider, token string) (*WebIdentity, error)
	// Insecure reports whether providers may be asked over plain HTTP.
	Insecure() bool
}

// maxWebToken is the longest token, in bytes, as Amazon's.
const maxWebToken = 20000

// assumeRoleWithWebIdentity begins a session of a role for whoever has a token of a
// provider that the role trusts. The call itself is signed by nobody.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (c *call) assumeRoleWithWebIdentity() (any, error) {
	t := &Session{Kind: RoleSession, Name: c.form.sessionName()}
	seconds := c.form.number("DurationSeconds", defaultRole, minDuration, 43200)
	token := c.form.need("WebIdentityToken")
	if c.form.text("ProviderId") != "" {
		c.form.fail(invalid("Tokens of OAuth 2.0 providers are not taken: there is no ProviderId of an OpenID Connect provider."))
	}
	if len(token) > maxWebToken {
		c.form.fail(invalid("The value of WebIdentityToken must have at most %d characters.", maxWebToken))
	}
	if c.form.err != nil {
		return nil, c.form.err
	}
	if c.Providers == nil {
		return nil, Refuse("AccessDenied", "This store takes no web identities.")
	}
	who, err := c.identify(token)
	if err != nil {
		return nil, err
	}
	if err := c.trusts(who, t.Name); err != nil {
		return nil, err
	}
	t.Web = who
	out, err := c.beginRole(t, seconds, int(c.subject.MaxSession))
	if err != nil {
		return nil, err
	}
	return struct {
		*roleSessionXML
		SubjectFromWebIdentityToken string
		Audience                    string
		Provider                    string
	}{out, who.Subject, who.Audiences[0], who.Provider}, nil
}

// identify finds the provider of a token in the role's account, and what the token says.
// That there is no such role is told only behind that.
func (c *call) identify(token string) (*WebIdentity, error) {
	issuer := c.Providers.Issuer(token)
	if issuer == "" {
		return nil, Refuse("InvalidIdentityToken", "The ID Token provided is not a valid JWT.")
	}
	unknown := Refuse("InvalidIdentityToken", "No OpenIDConnect provider found in your account for %s", issuer)
	_, name, _ := strings.Cut(issuer, "://")
	x, err := c.view.PrincipalByName(accountOfARN(c.form.values.Get("RoleArn")), provider, name)
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, unknown
	}
	b, err := believedOf(x)
	if err != nil {
		return nil, err
	}
	if issuer != b.url(x) {
		return nil, unknown
	}
	var who *WebIdentity
	var invalid error
	// Whom the role trusts is judged by the state behind that, which may take a while.
	c.view, err = c.request.Pause(c.ctx, func() {
		who, invalid = c.Providers.Verify(c.ctx, &Provider{URL: issuer, Clients: b.Clients, Thumbprints: b.Thumbprints}, token)
	})
	if err != nil {
		return nil, err
	}
	switch {
	case errors.Is(invalid, ErrTokenExpired):
		return nil, Refuse("ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time")
	case errors.Is(invalid, ErrToken):
		return nil, Refuse("InvalidIdentityToken", "The token is not signed by a key of its provider, is not for one of its clients, or does not hold now.")
	case errors.Is(invalid, ErrProvider):
		return nil, Refuse("IDPCommunicationError", "The keys of %s could not be read.", issuer)
	case invalid != nil:
		return nil, invalid
	}
	who.Provider, who.Name = ARN(x), x.Name
	c.subject = nil
	_, err = onRoleARN(c)
	return who, err
}

// accountOfARN is the account that an ARN names.
func accountOfARN(s string) string {
	if parts := strings.SplitN(s, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

// trusts decides by the role's trust policy alone, which must name the provider: whom the
// token is about has no other.
func (c *call) trusts(who *WebIdentity, session string) error {
	denied := Refuse("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	if c.subject == nil {
		return denied
	}
	trust, err := c.parsed.parse(c.subject.Trust, policy.Trust)
	if err != nil {
		return denied // written in a language newer than this release
	}
	c.describeSession(session)
	for _, x := range who.Claims() {
		c.request.Context.Set(x.Key, x.Values...)
	}
	r := &policy.Request{
		Caller: policy.Caller{Federated: who.Provider}, Action: "sts:AssumeRoleWithWebIdentity", Resource: ARN(c.subject), Context: c.request.Context,
	}
	if o := policy.Evaluate([]policy.Named{{ID: "trust", Policy: trust}}, r); o.Verdict != access.Allow || !o.Direct {
		return denied
	}
	return nil
}
