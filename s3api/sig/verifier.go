package sig

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Verifier verifies requests for one cluster. Its fields are set before the first
// Verify and not changed after. Safe for concurrent use; not to be copied.
type Verifier struct {
	// Region that Version 4 signatures must be for.
	Region string
	// Now reads the wall clock.
	Now func() time.Time
	// Lookup returns the secret of an access key. ok is false for a key that is
	// unknown or may not be used now; it should take the same time. token is the
	// session token of the request, or empty: Lookup must refuse one that it did not
	// issue for this key, with an *Error of CodeInvalidToken or CodeExpiredToken. Any
	// error ends the verification and is returned as it is.
	Lookup func(ctx context.Context, accessKey, token string) (secret Secret, ok bool, err error)
	// AllowV2 says whether Version 2 is accepted.
	AllowV2 bool
	// VirtualHost returns the bucket that a Host header names, for virtual-hosted
	// requests: Version 2 signs it. Nil: no host names one.
	VirtualHost func(host string) (bucket string, ok bool)

	keys    keyCache
	buffers sync.Pool // of *[]byte, for canonical requests
}

// Verify returns who signed a request and what its body must be. It reads no body:
// Body does. The error is an *Error, or what Lookup returned. Nothing of r is
// changed, and r must not be changed between Verify and Body.
func (v *Verifier) Verify(ctx context.Context, r *http.Request) (*Identity, error) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	authorization, ok, err := single(r.Header, "Authorization")
	if err != nil {
		return nil, err
	}
	// In any case of letters: what looks like credentials is not anonymous.
	v4 := q.hasFold(paramAlgorithm, paramCredential, paramSignature)
	v2 := q.has(paramAccessKeyV2, paramSignatureV2)
	switch {
	case ok && (v4 || v2) || v4 && v2:
		return nil, errTwoMechanisms()
	case v4:
		return v.verifyQueryV4(ctx, r, q)
	case v2:
		return v.verifyQueryV2(ctx, r, q)
	case !ok:
		return anonymous(r, q)
	case strings.HasPrefix(authorization, algorithmV4+" "):
		return v.verifyHeaderV4(ctx, r, q, authorization)
	case strings.HasPrefix(authorization, schemeV2):
		return v.verifyHeaderV2(ctx, r, q, authorization)
	case authorization == "":
		return nil, refuse(CodeAccessDenied, "Access Denied")
	case !strings.Contains(authorization, " "):
		return nil, refuse(CodeInvalidArgument, "Authorization header is invalid -- one and only one ' ' (space) required.",
			Detail{"ArgumentName", "Authorization"})
	default:
		return nil, refuse(CodeInvalidArgument, "Unsupported Authorization Type", Detail{"ArgumentName", "Authorization"})
	}
}

// anonymous accepts a request that carries no credentials at all.
func anonymous(r *http.Request, q query) (*Identity, error) {
	id := &Identity{Form: FormAnonymous}
	if err := q.checkOverrides(r.Method, true); err != nil {
		return nil, err
	}
	if err := id.setPayload(r.Header); err != nil {
		return nil, err
	}
	return id, id.setFraming(r)
}

// lookup returns the secret to compute a signature with. known is false for a key that
// nobody has: its secret only takes the time, and whatever it signs is refused. An
// empty secret is nobody's, or anyone could sign with it.
func (v *Verifier) lookup(ctx context.Context, accessKey, token string) (secret Secret, known bool, err error) {
	secret, known, err = v.Lookup(ctx, accessKey, token)
	if err != nil {
		return Secret{}, false, err
	}
	if !known || len(secret.Reveal()) == 0 {
		return NewSecret("no access key has this secret, it only takes time."), false, nil
	}
	return secret, true, nil
}

func (v *Verifier) buffer() *[]byte {
	if b, ok := v.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 2048)
	return &b
}
