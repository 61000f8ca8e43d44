package sig

import (
	"context"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"ironman/wal/digest"
)

// VerifyService returns who signed a request to one of the given services, which are
// not S3: their requests have a small body, of which body is the digest, and their
// clients do not say in a header what it is. They are signed by Version 4 in the
// Authorization header; without one the Identity is anonymous. The service is in its
// Scope.
func (v *Verifier) VerifyService(ctx context.Context, r *http.Request, body digest.Sum, services ...string) (*Identity, error) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	authorization, ok, err := single(r.Header, "Authorization")
	switch {
	case err != nil:
		return nil, err
	case q.hasFold(paramAlgorithm, paramCredential, paramSignature) || q.has(paramAccessKeyV2, paramSignatureV2):
		return nil, refuse(CodeInvalidRequest, "A call of this service is signed in the Authorization header.")
	case !ok:
		return anonymous(r, q)
	case !strings.HasPrefix(authorization, algorithmV4+" "):
		return nil, refuse(CodeInvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	}
	c, err := v.parseAuthorization(authorization, services...)
	if err != nil {
		return nil, err
	}
	c.payload = hex.EncodeToString(body[:])
	return v.verifyClaim(ctx, r, q, c)
}

// checkService judges the service of a claim. Its region may be any: these services have
// one endpoint for all regions, and clients sign for the one that they are set to, for
// another that stands for all, or for none.
func (v *Verifier) checkService(c *claim, complain complaint) error {
	if !slices.Contains(c.services, c.scope.Service) {
		return complain("incorrect service. This endpoint belongs to " + strings.Join(c.services, ", ") + ".")
	}
	return nil
}
