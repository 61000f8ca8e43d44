package sig

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Parameters of a presigned Version 4 request.
const (
	paramAlgorithm     = "X-Amz-Algorithm"
	paramCredential    = "X-Amz-Credential"
	paramDate          = "X-Amz-Date"
	paramExpires       = "X-Amz-Expires"
	paramSignedHeaders = "X-Amz-SignedHeaders"
	paramSignature     = "X-Amz-Signature"
	paramToken         = "X-Amz-Security-Token"
)

// MaxExpires is the longest life of a presigned Version 4 request.
const MaxExpires = 7 * 24 * time.Hour

// Longest accepted parts of a credential, in bytes.
const (
	maxAccessKey = 128
	maxRegion    = 64
)

// claim is what a Version 4 request says of its own signature.
type claim struct {
	form      Form
	accessKey string
	scope     Scope
	signed    []string
	signature string
	time      time.Time
	at        string // time, ISO 8601 basic
	expires   time.Time
	token     string

	// services and payload are of a request to another service than S3 (VerifyService):
	// those that it may be for, and the SHA-256 of its body in hexadecimal.
	services []string
	payload  string
}

// complaint makes the error of a malformed part: its code and the beginning of its
// message differ between header and query.
type complaint func(message string, detail ...Detail) *Error

func complainHeader(message string, detail ...Detail) *Error {
	return refuse(CodeAuthorizationHeaderMalformed, "The authorization header is malformed; "+message, detail...)
}

func complainQuery(message string, detail ...Detail) *Error {
	return refuse(CodeAuthorizationQueryParametersError, message, detail...)
}

func complainCredential(message string, detail ...Detail) *Error {
	return complainQuery("Error parsing the X-Amz-Credential parameter; "+message, detail...)
}

// verifyHeaderV4 verifies a request with an Authorization header.
func (v *Verifier) verifyHeaderV4(ctx context.Context, r *http.Request, q query, authorization string) (*Identity, error) {
	c, err := v.parseAuthorization(authorization)
	if err != nil {
		return nil, err
	}
	return v.verifyClaim(ctx, r, q, c)
}

// verifyClaim verifies what an Authorization header claims.
func (v *Verifier) verifyClaim(ctx context.Context, r *http.Request, q query, c *claim) (*Identity, error) {
	var err error
	var asSent string
	if c.time, asSent, err = requestDate(r.Header); err != nil {
		return nil, err
	}
	if c.at = asSent; len(asSent) != len(isoTime) {
		c.at = c.time.Format(isoTime)
	}
	if err := c.checkDate(complainHeader); err != nil {
		return nil, err
	}
	if err := checkSkew(c.time, v.Now(), asSent); err != nil {
		return nil, err
	}
	if c.token, _, err = single(r.Header, headerToken); err != nil {
		return nil, err
	}
	payload, ok, err := single(r.Header, headerContentSHA256)
	if err != nil {
		return nil, err
	}
	switch {
	case c.services != nil && ok && payload != c.payload:
		return nil, refuse(CodeXAmzContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	case c.services != nil:
		payload = c.payload
	case !ok:
		return nil, refuse(CodeInvalidRequest, "Missing required header for this request: x-amz-content-sha256")
	}
	return v.verifyV4(ctx, r, q, c, payload)
}

// parseAuthorization reads
//
//	AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/s3/aws4_request, SignedHeaders=a;b, Signature=HEX
//
// Its three fields may come in any order, each once.
func (v *Verifier) parseAuthorization(value string, services ...string) (*claim, error) {
	c := &claim{form: FormV4Header, services: services}
	var credential, signed string
	for field := range strings.SplitSeq(strings.TrimPrefix(value, algorithmV4+" "), ",") {
		name, content, _ := strings.Cut(strings.TrimSpace(field), "=")
		var target *string
		switch name {
		case "Credential":
			target = &credential
		case "SignedHeaders":
			target = &signed
		case "Signature":
			target = &c.signature
		default:
			return nil, complainHeader("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
		}
		if content == "" || *target != "" {
			return nil, complainHeader(name + " must be given once.")
		}
		*target = content
	}
	switch {
	case credential == "":
		return nil, complainHeader("missing Credential.")
	case signed == "":
		return nil, complainHeader("missing SignedHeaders.")
	case c.signature == "":
		return nil, complainHeader("missing Signature.")
	}
	if err := v.parseCredential(c, credential, complainHeader); err != nil {
		return nil, err
	}
	var ok bool
	if c.signed, ok = parseSignedHeaders(signed); !ok {
		return nil, complainHeader("the SignedHeaders are mal-formed.")
	}
	return c, nil
}

// parseCredential reads KEY/DATE/REGION/s3/aws4_request and judges all but the date.
func (v *Verifier) parseCredential(c *claim, s string, complain complaint) error {
	parts := strings.Split(s, "/")
	if len(parts) != 5 || parts[0] == "" || len(parts[0]) > maxAccessKey || len(parts[2]) > maxRegion {
		return complain(`the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	c.accessKey = parts[0]
	c.scope = Scope{Date: parts[1], Region: parts[2], Service: parts[3]}
	if len(c.scope.Date) != len(isoDate) || strings.Trim(c.scope.Date, "0123456789") != "" {
		return complain(`incorrect date format. This date in the credential must be in the format "yyyyMMdd".`)
	}
	if parts[4] != terminator {
		return complain(`incorrect terminal. This endpoint uses "aws4_request".`)
	}
	if c.services != nil {
		return v.checkService(c, complain)
	}
	if c.scope.Service != serviceS3 {
		return complain(`incorrect service. This endpoint belongs to "s3".`)
	}
	if c.scope.Region != v.Region {
		// Clients read the element Region and sign again.
		return complain("the region '"+c.scope.Region+"' is wrong; expecting '"+v.Region+"'", Detail{"Region", v.Region})
	}
	return nil
}

// checkDate refuses a scope of another day than the request.
func (c *claim) checkDate(complain complaint) error {
	if day := c.at[:len(isoDate)]; c.scope.Date != day {
		return complain("Invalid credential date \"" + c.scope.Date + "\". This date is not the same as X-Amz-Date: \"" + day + "\".")
	}
	return nil
}

// verifyQueryV4 verifies a presigned request.
func (v *Verifier) verifyQueryV4(ctx context.Context, r *http.Request, q query) (*Identity, error) {
	c, err := v.parsePresigned(q)
	if err != nil {
		return nil, err
	}
	now := v.Now()
	if c.time.Sub(now) > MaxSkew {
		return nil, refuse(CodeAccessDenied, "Request is not valid yet",
			Detail{"RequestTime", c.time.Format(time.RFC3339)}, Detail{"ServerTime", now.UTC().Format(time.RFC3339)})
	}
	if now.After(c.expires) {
		return nil, errExpired(c.expires, now)
	}
	if c.token, err = presignedValue(r.Header, q, paramToken); err != nil {
		return nil, err
	}
	payload, err := presignedValue(r.Header, q, headerContentSHA256)
	if err != nil {
		return nil, err
	}
	if payload == "" {
		payload = unsignedPayload
	}
	return v.verifyV4(ctx, r, q, c, payload)
}

// parsePresigned reads the six parameters of a presigned request, each once.
func (v *Verifier) parsePresigned(q query) (*claim, error) {
	var values [6]string
	for i, name := range [...]string{
		paramAlgorithm, paramCredential, paramDate, paramExpires, paramSignedHeaders, paramSignature,
	} {
		value, count := q.get(name)
		if count > 1 {
			return nil, complainQuery(name + " must be given once.")
		}
		if value == "" {
			return nil, complainQuery("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, " +
				"X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
		values[i] = value
	}
	if values[0] != algorithmV4 {
		return nil, complainQuery(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
	}
	c := &claim{form: FormV4Query, signature: values[5]}
	if err := v.parseCredential(c, values[1], complainCredential); err != nil {
		return nil, err
	}
	var ok bool
	if c.time, ok = parseISO(values[2]); !ok {
		return nil, complainQuery(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	c.at = values[2]
	if err := c.checkDate(complainQuery); err != nil {
		return nil, err
	}
	life, err := parseExpires(values[3])
	if err != nil {
		return nil, err
	}
	c.expires = c.time.Add(life)
	if c.signed, ok = parseSignedHeaders(values[4]); !ok {
		return nil, complainQuery("The X-Amz-SignedHeaders are mal-formed.")
	}
	return c, nil
}

// parseExpires reads X-Amz-Expires: 1 to 604,800 seconds.
func parseExpires(s string) (time.Duration, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return 0, complainQuery("X-Amz-Expires should be a number")
	case n <= 0:
		return 0, refuse(CodeAccessDenied, "Request has expired: X-Amz-Expires must be at least 1 second")
	case n > int64(MaxExpires/time.Second):
		return 0, refuse(CodeAccessDenied, "X-Amz-Expires must be less than a week (in seconds); "+
			"that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	return time.Duration(n) * time.Second, nil
}

// presignedValue returns what a presigned request says in a parameter or in the
// header of the same name; empty: neither. Both must agree.
func presignedValue(h http.Header, q query, name string) (string, error) {
	value, count := q.get(name)
	header, ok, err := single(h, name)
	if err != nil || count > 1 {
		return "", errRepeated(strings.ToLower(name))
	}
	if ok && count == 1 && header != value {
		return "", errRepeated(strings.ToLower(name))
	}
	if count == 0 {
		value = header
	}
	return value, nil
}

// verifyV4 is where both forms of Version 4 meet: everything was parsed and judged
// but which headers are signed, the signature and the body.
func (v *Verifier) verifyV4(ctx context.Context, r *http.Request, q query, c *claim, payload string) (*Identity, error) {
	if names := unsigned(r.Header, c.signed); names != "" {
		return nil, errNotSigned(names)
	}
	id := &Identity{
		AccessKey: c.accessKey, Form: c.form, Scope: c.scope, SignedHeaders: c.signed,
		Time: c.time, Expires: c.expires,
	}
	var err error
	if id.Payload, id.hash, err = parsePayload(payload); err != nil {
		return nil, err
	}
	m := &message{r: r, query: q, signed: c.signed, payload: payload}
	if m.path, err = decodedPath(r); err != nil {
		return nil, err
	}
	if c.form == FormV4Query {
		m.skip = paramSignature
		if id.Hoisted, err = q.hoisted(); err != nil {
			return nil, err
		}
	}
	if err := v.checkV4(ctx, m, c, id); err != nil {
		return nil, err
	}
	if c.form == FormV4Query && id.Payload.Streaming() {
		return nil, refuse(CodeInvalidRequest, "The value of x-amz-content-sha256 header is invalid.")
	}
	if err := q.checkOverrides(r.Method, false); err != nil {
		return nil, err
	}
	return id, id.setFraming(r)
}

// checkV4 compares signatures. An unknown access key is signed for with a stand-in
// secret and compared all the same, so that it is not told apart by its time.
func (v *Verifier) checkV4(ctx context.Context, m *message, c *claim, id *Identity) error {
	secret, known, err := v.lookup(ctx, c.accessKey, c.token)
	if err != nil {
		return err
	}
	cached := c.accessKey
	if !known {
		cached = ""
	}
	key := v.keys.of(cached, secret, c.scope.Date, c.scope.Region, c.scope.Service)
	scope := c.scope.Date + "/" + c.scope.Region + "/" + c.scope.Service + "/" + terminator

	buf := v.buffer()
	*buf = m.appendCanonical((*buf)[:0])
	toSign := stringToSign(c.at, scope, *buf)
	v.buffers.Put(buf)
	mac := hmacSHA256(key.Reveal(), toSign)
	var computed [2 * len(mac)]byte
	hex.Encode(computed[:], mac[:])

	if subtle.ConstantTimeCompare(computed[:], []byte(c.signature)) != 1 {
		if !known {
			return errUnknownKey(c.accessKey)
		}
		return errMismatch(c.accessKey, toSign)
	}
	if !known {
		return errUnknownKey(c.accessKey) // it cannot match, but never let it pass
	}
	if id.Payload == PayloadStreamSigned || id.Payload == PayloadStreamSignedTrailer {
		id.chunks = &chunkSeed{key: key, time: c.at, scope: scope, signature: c.signature}
	}
	return nil
}
