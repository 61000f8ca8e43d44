// Package webidentity verifies tokens of OpenID Connect providers.
//
// A token is believed if it is signed by a key that its issuer publishes now, is for one
// of the clients that an account names, and holds now. Keys are read where the issuer's
// discovery document says that they are, over connections of bounded length and size, to
// public addresses only, and are kept for an hour.
// https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
// https://openid.net/specs/openid-connect-discovery-1_0.html
package webidentity

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ironman/s3api/iam"
)

// algorithms are those of public keys only: a token that is signed by a shared secret,
// or by nothing, is none.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

const (
	// skew is how far an issuer's clock may be ahead, or behind, as with Amazon.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
	skew = 5 * time.Minute
	// maxSubject and maxAMR bound what of a token is taken on.
	maxSubject, maxAMR = 255, 10
	// maxProviders bounds how many providers' keys are kept.
	maxProviders = 1000
	// maxReadings bounds how many providers are asked at a time.
	maxReadings = 4
)

// Options of a Verifier.
type Options struct {
	// Insecure lets providers be asked over plain HTTP and at private addresses, too.
	Insecure bool
	Now      func() time.Time
	Log      *slog.Logger
}

// Verifier implements iam.Providers. Safe for concurrent use.
type Verifier struct {
	Options
	slots chan struct{}
	mu    sync.Mutex
	kept  map[string]*keys // by what a provider is known by
}

// New makes a Verifier.
func New(o Options) *Verifier {
	return &Verifier{Options: o, slots: make(chan struct{}, maxReadings), kept: make(map[string]*keys)}
}

// Insecure reports whether providers may be asked over plain HTTP.
func (v *Verifier) Insecure() bool { return v.Options.Insecure }

// claims are what is read of a token.
type claims struct {
	jwt.Claims
	// AZP is whom the token was issued to, where that is told.
	AZP string       `json:"azp"`
	AMR jwt.Audience `json:"amr"` // a text or a list, as an audience is
}

// Issuer is who a token says that it is from, unverified; "": it is no token.
func (v *Verifier) Issuer(token string) string {
	t, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return ""
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := t.UnsafeClaimsWithoutVerification(&c); err != nil {
		return ""
	}
	return c.Issuer
}

// Verify returns what a token of the provider says.
func (v *Verifier) Verify(ctx context.Context, p *iam.Provider, token string) (*iam.WebIdentity, error) {
	t, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(t.Headers) != 1 {
		return nil, iam.ErrToken
	}
	candidates, err := v.keysOf(p).candidates(ctx, t.Headers[0].KeyID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", iam.ErrProvider, err)
	}
	for _, k := range candidates {
		var c claims
		if k.algorithm != "" && k.algorithm != t.Headers[0].Algorithm || t.Claims(k.public, &c) != nil {
			continue
		}
		return c.identity(p, v.Now())
	}
	return nil, iam.ErrToken
}

// identity judges claims whose signature is good.
func (c *claims) identity(p *iam.Provider, now time.Time) (*iam.WebIdentity, error) {
	// A token that says whom it was issued to is for that client alone.
	audiences := c.Audience
	if c.AZP != "" {
		audiences = []string{c.AZP}
	}
	audiences = slices.DeleteFunc(slices.Clone(audiences), func(a string) bool { return !slices.Contains(p.Clients, a) })
	switch {
	case c.Issuer != p.URL, c.Subject == "", len(c.Subject) > maxSubject, len(audiences) == 0, c.Expiry == nil, c.IssuedAt == nil,
		c.IssuedAt.Time().After(now.Add(skew)), c.NotBefore != nil && c.NotBefore.Time().After(now.Add(skew)):
		return nil, iam.ErrToken
	case !now.Before(c.Expiry.Time().Add(skew)):
		return nil, iam.ErrTokenExpired
	}
	return &iam.WebIdentity{Subject: c.Subject, Audiences: audiences, AMR: c.AMR[:min(len(c.AMR), maxAMR)]}, nil
}

// keysOf are the keys of a provider. What is known of one is not known of another at the
// same URL that is known by other certificates.
func (v *Verifier) keysOf(p *iam.Provider) *keys {
	name := strings.Join(append([]string{p.URL}, p.Thumbprints...), "\n")
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.kept[name]
	if k == nil {
		if len(v.kept) >= maxProviders {
			v.forget()
		}
		k = &keys{from: newSource(p, v.Options.Insecure), now: v.Now, log: v.Log, slots: v.slots}
		v.kept[name] = k
	}
	return k
}

// forget drops the keys that were read longest ago; v.mu is held.
func (v *Verifier) forget() {
	var oldest string
	var when time.Time
	for name, k := range v.kept {
		if t, idle := k.idle(); idle && (oldest == "" || t.Before(when)) {
			oldest, when = name, t
		}
	}
	delete(v.kept, oldest)
}
