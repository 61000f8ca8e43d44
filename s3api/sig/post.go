package sig

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"time"

	"ironman/wal/digest"
)

// Fields are the fields of an upload form before its file: names in lower case, each
// once.
type Fields map[string]string

// Fields of a form that say who made its policy.
const (
	fieldPolicy      = "policy"
	fieldToken       = "x-amz-security-token"
	fieldAccessKeyV2 = "awsaccesskeyid"
	fieldSignatureV2 = "signature"
	fieldAlgorithm   = "x-amz-algorithm"
	fieldCredential  = "x-amz-credential"
	fieldDate        = "x-amz-date"
	fieldSignature   = "x-amz-signature"
)

// VerifyPost returns who signed the policy of an upload form, and the policy. A form
// without policy, signature and key is anonymous, and its policy nil. The policy is
// authentic, but nobody has yet asked whether the form obeys it: PostPolicy.Check does.
// Credentials beside the form, in a header or in the query, are refused.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
func (v *Verifier) VerifyPost(ctx context.Context, r *http.Request, f Fields) (*Identity, *PostPolicy, error) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, err
	}
	_, header := r.Header["Authorization"]
	v4 := f.any(fieldSignature, fieldCredential, fieldAlgorithm)
	v2 := f.any(fieldSignatureV2, fieldAccessKeyV2)
	if header || v4 && v2 || q.hasFold(paramAlgorithm, paramCredential, paramSignature) || q.has(paramAccessKeyV2, paramSignatureV2) {
		return nil, nil, errTwoMechanisms()
	}
	var id *Identity
	switch {
	case v4:
		id, err = v.verifyPostV4(ctx, f)
	case v2:
		id, err = v.verifyPostV2(ctx, f)
	case f.any(fieldPolicy, fieldToken):
		err = errNoField("Signature") // what looks like credentials is not anonymous
	default:
		return &Identity{Form: FormAnonymous, DecodedLength: -1}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := decodePostPolicy(f[fieldPolicy])
	return id, p, err
}

// any reports whether the form has any of the fields.
func (f Fields) any(names ...string) bool {
	for _, n := range names {
		if _, ok := f[n]; ok {
			return true
		}
	}
	return false
}

// verifyPostV2 verifies the fields AWSAccessKeyId, policy and signature.
func (v *Verifier) verifyPostV2(ctx context.Context, f Fields) (*Identity, error) {
	if err := v.allowsV2(); err != nil {
		return nil, err
	}
	accessKey := f[fieldAccessKeyV2]
	switch {
	case f[fieldPolicy] == "":
		return nil, errNoField("Policy")
	case accessKey == "" || len(accessKey) > maxAccessKey:
		return nil, errNoField("AWSAccessKeyId")
	case f[fieldSignatureV2] == "":
		return nil, errNoField("Signature")
	}
	secret, known, err := v.lookup(ctx, accessKey, f[fieldToken])
	if err != nil {
		return nil, err
	}
	computed := macV2(secret, []byte(f[fieldPolicy]))
	match := subtle.ConstantTimeCompare([]byte(computed), []byte(f[fieldSignatureV2]))
	return postIdentity(&Identity{AccessKey: accessKey, Form: FormV2Post}, known, match)
}

// verifyPostV4 verifies the fields x-amz-algorithm, -credential, -date, -signature and
// policy. The date may be long past: the policy says when it ends.
func (v *Verifier) verifyPostV4(ctx context.Context, f Fields) (*Identity, error) {
	for _, name := range [...]string{fieldAlgorithm, fieldCredential, fieldDate, fieldPolicy, fieldSignature} {
		if f[name] == "" {
			return nil, errNoField(name)
		}
	}
	if f[fieldAlgorithm] != algorithmV4 {
		return nil, complainQuery(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
	}
	c := &claim{form: FormV4Post, at: f[fieldDate]}
	if err := v.parseCredential(c, f[fieldCredential], complainCredential); err != nil {
		return nil, err
	}
	var ok bool
	if c.time, ok = parseISO(c.at); !ok {
		return nil, complainQuery(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	if err := c.checkDate(complainQuery); err != nil {
		return nil, err
	}
	if now := v.Now(); c.time.Sub(now) > MaxSkew {
		return nil, refuse(CodeAccessDenied, "Request is not valid yet",
			Detail{"RequestTime", c.time.Format(time.RFC3339)}, Detail{"ServerTime", now.UTC().Format(time.RFC3339)})
	}
	secret, known, err := v.lookup(ctx, c.accessKey, f[fieldToken])
	if err != nil {
		return nil, err
	}
	cached := c.accessKey
	if !known {
		cached = "" // strangers fill no memory
	}
	key := v.keys.get(cached, secret, c.scope.Date, c.scope.Region)
	match := subtle.ConstantTimeCompare([]byte(macPostV4(key, f[fieldPolicy])), []byte(f[fieldSignature]))
	return postIdentity(&Identity{AccessKey: c.accessKey, Form: c.form, Scope: c.scope, Time: c.time}, known, match)
}

// macPostV4 signs a policy as it stands in the form.
func macPostV4(key Secret, policy string) string {
	m := hmac.New(digest.NewSHA256, key.Reveal())
	m.Write([]byte(policy))
	return hex.EncodeToString(m.Sum(nil))
}

// postIdentity is where both versions meet. The file is not signed, and nobody says
// how long it is.
func postIdentity(id *Identity, known bool, match int) (*Identity, error) {
	if !known {
		return nil, errUnknownKey(id.AccessKey)
	}
	if match != 1 {
		return nil, errMismatch(id.AccessKey, "")
	}
	id.DecodedLength = -1
	return id, nil
}

// errNoField is of a form that is signed, but not wholly.
func errNoField(name string) *Error {
	return refuse(CodeInvalidArgument, "Bucket POST must contain a field named '"+name+"'.  If it is specified, please check the order of the fields.",
		Detail{"ArgumentName", name}, Detail{"ArgumentValue", ""})
}

// SignPostV4 adds what a form needs beside the policy document, which must already
// have conditions for x-amz-algorithm, x-amz-credential and x-amz-date: those of
// PostScopeV4.
func SignPostV4(f Fields, c Credential, region string, document []byte, now time.Time) {
	credential, at := PostScopeV4(c, region, now)
	f[fieldAlgorithm], f[fieldCredential], f[fieldDate] = algorithmV4, credential, at
	f[fieldPolicy] = base64.StdEncoding.EncodeToString(document)
	f[fieldSignature] = macPostV4(deriveKey(c.Secret, at[:len(isoDate)], region, serviceS3), f[fieldPolicy])
}

// PostScopeV4 returns the x-amz-credential and x-amz-date of a form signed now.
func PostScopeV4(c Credential, region string, now time.Time) (credential, date string) {
	date = now.UTC().Format(isoTime)
	return c.AccessKey + "/" + date[:len(isoDate)] + "/" + region + "/" + serviceS3 + "/" + terminator, date
}

// SignPostV2 adds what a form needs beside the policy document.
func SignPostV2(f Fields, c Credential, document []byte) {
	f[fieldAccessKeyV2] = c.AccessKey
	f[fieldPolicy] = base64.StdEncoding.EncodeToString(document)
	f[fieldSignatureV2] = macV2(c.Secret, []byte(f[fieldPolicy]))
}
