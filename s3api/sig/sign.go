package sig

import (
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// UnsignedPayload is the payload hash of a request whose body is not signed.
const UnsignedPayload = unsignedPayload

// SignV4 signs a request in its Authorization header: all its headers but those that
// a transport may change. payload is the hexadecimal SHA-256 of the body or
// UnsignedPayload. It sets X-Amz-Date, X-Amz-Content-Sha256, X-Amz-Security-Token
// (with a session) and Authorization.
func SignV4(r *http.Request, c Credential, region, payload string, now time.Time) error {
	_, err := signV4(r, c, region, payload, now)
	return err
}

func signV4(r *http.Request, c Credential, region, payload string, now time.Time) (*chunkSeed, error) {
	at := now.UTC().Format(isoTime)
	r.Header.Del("Authorization")
	r.Header.Set("X-Amz-Date", at)
	r.Header.Set(headerContentSHA256, payload)
	if s := c.Session.Reveal(); len(s) > 0 {
		r.Header.Set(headerToken, string(s))
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	m := &message{r: r, query: q, signed: headersToSign(r), payload: payload}
	seed, err := m.sign(c, region, at)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", algorithmV4+" Credential="+c.AccessKey+"/"+seed.scope+
		", SignedHeaders="+strings.Join(m.signed, ";")+", Signature="+seed.signature)
	return seed, nil
}

// sign computes the signature of a message.
func (m *message) sign(c Credential, region, at string) (*chunkSeed, error) {
	var err error
	if m.path, err = decodedPath(m.r); err != nil {
		return nil, err
	}
	date := at[:len(isoDate)]
	seed := &chunkSeed{time: at, scope: date + "/" + region + "/" + serviceS3 + "/" + terminator}
	seed.key = deriveKey(c.Secret, date, region, serviceS3)
	mac := hmacSHA256(seed.key.Reveal(), stringToSign(at, seed.scope, m.appendCanonical(nil)))
	seed.signature = hex.EncodeToString(mac[:])
	return seed, nil
}

// headersToSign returns host and the names of the headers that are there, but not
// those that clients and proxies add, change or consume.
func headersToSign(r *http.Request) []string {
	names := []string{"host"}
	for name := range r.Header {
		switch lower := strings.ToLower(name); lower {
		case "host", "authorization", "user-agent", "accept-encoding", "expect", "connection",
			"content-length", "transfer-encoding", "x-amzn-trace-id":
		default:
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// PresignV4 signs a request in its query, for life from now on (1 s to MaxExpires,
// in whole seconds): its headers must be sent as they are, its body is not signed.
func PresignV4(r *http.Request, c Credential, region string, life time.Duration, now time.Time) error {
	if life < time.Second || life > MaxExpires {
		return errors.New("sig: a presigned request lives 1 second to 7 days")
	}
	at := now.UTC().Format(isoTime)
	signed := headersToSign(r)
	q := r.URL.RawQuery
	add := func(name, value string) {
		if q != "" {
			q += "&"
		}
		q += name + "=" + escape(value)
	}
	add(paramAlgorithm, algorithmV4)
	add(paramCredential, c.AccessKey+"/"+at[:len(isoDate)]+"/"+region+"/"+serviceS3+"/"+terminator)
	add(paramDate, at)
	add(paramExpires, strconv.FormatInt(int64(life/time.Second), 10))
	if s := c.Session.Reveal(); len(s) > 0 {
		add(paramToken, string(s))
	}
	add(paramSignedHeaders, strings.Join(signed, ";"))
	parsed, err := parseQuery(q)
	if err != nil {
		return err
	}
	m := &message{r: r, query: parsed, signed: signed, payload: unsignedPayload}
	seed, err := m.sign(c, region, at)
	if err != nil {
		return err
	}
	add(paramSignature, seed.signature)
	r.URL.RawQuery = q
	return nil
}

// SignV2 signs a request in its Authorization header. bucket is what the Host names,
// if the request is virtual-hosted, else empty. It sets Date, unless there is a date,
// X-Amz-Security-Token (with a session) and Authorization.
func SignV2(r *http.Request, c Credential, bucket string, now time.Time) error {
	date := ""
	if _, ok := r.Header["X-Amz-Date"]; !ok {
		if r.Header.Get("Date") == "" {
			r.Header.Set("Date", now.UTC().Format(http.TimeFormat))
		}
		date = r.Header.Get("Date")
	}
	if s := c.Session.Reveal(); len(s) > 0 {
		r.Header.Set(headerToken, string(s))
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", schemeV2+c.AccessKey+":"+
		macV2(c.Secret, appendStringV2(nil, r, q, date, bucket, rawPath(r), false)))
	return nil
}

// PresignV2 signs a request in its query, until expires.
func PresignV2(r *http.Request, c Credential, bucket string, expires time.Time) error {
	if s := c.Session.Reveal(); len(s) > 0 {
		r.Header.Set(headerToken, string(s))
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	until := strconv.FormatInt(expires.Unix(), 10)
	signature := macV2(c.Secret, appendStringV2(nil, r, q, until, bucket, rawPath(r), true))
	sep := "&"
	if r.URL.RawQuery == "" {
		sep = ""
	}
	r.URL.RawQuery += sep + paramAccessKeyV2 + "=" + escape(c.AccessKey) +
		"&" + paramExpiresV2 + "=" + until + "&" + paramSignatureV2 + "=" + escape(signature)
	return nil
}
