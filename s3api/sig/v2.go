package sig

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ironman/wal/digest"
)

const (
	schemeV2         = "AWS "
	paramAccessKeyV2 = "AWSAccessKeyId"
	paramExpiresV2   = "Expires"
	paramSignatureV2 = "Signature"
)

// IsSubResource reports whether a query parameter is part of what Version 2 signs:
// those that choose an operation or a version, and the response-* overrides. Every
// parameter that chooses an operation must be one, or it could be added to a signed
// request.
func IsSubResource(name string) bool {
	switch name {
	case "abac", "accelerate", "acl", "analytics", "annotation", "annotations", "attributes", "cors",
		"defaultObjectAcl", "delete", "encryption", "feed", "feedCursor", "intelligent-tiering", "inventory", "legal-hold", "lifecycle",
		"location", "logging", "metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable",
		"metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls",
		"partNumber", "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication",
		"requestPayment", "restore", "retention", "select", "select-type", "session", "storageClass", "tagging",
		"torrent", "transaction", "uploadId", "uploads", "versionId", "versioning", "versions", "website":
		return true
	}
	return isOverride(name)
}

// verifyHeaderV2 verifies "Authorization: AWS KEY:SIGNATURE".
func (v *Verifier) verifyHeaderV2(ctx context.Context, r *http.Request, q query, authorization string) (*Identity, error) {
	if err := v.allowsV2(); err != nil {
		return nil, err
	}
	accessKey, signature, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(authorization, schemeV2)), ":")
	if !ok || accessKey == "" || signature == "" || len(accessKey) > maxAccessKey {
		return nil, refuse(CodeInvalidArgument, "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
			Detail{"ArgumentName", "Authorization"})
	}
	at, asSent, err := requestDate(r.Header)
	if err != nil {
		return nil, err
	}
	if err := checkSkew(at, v.Now(), asSent); err != nil {
		return nil, err
	}
	token, _, err := single(r.Header, headerToken)
	if err != nil {
		return nil, err
	}
	date := asSent
	if _, ok := r.Header["X-Amz-Date"]; ok {
		date = "" // it is signed among the x-amz- headers
	}
	id := &Identity{AccessKey: accessKey, Form: FormV2Header, Time: at}
	return v.verifyV2(ctx, r, q, id, date, token, signature)
}

// verifyQueryV2 verifies a presigned request.
func (v *Verifier) verifyQueryV2(ctx context.Context, r *http.Request, q query) (*Identity, error) {
	if err := v.allowsV2(); err != nil {
		return nil, err
	}
	accessKey, n := q.get(paramAccessKeyV2)
	expires, m := q.get(paramExpiresV2)
	signature, o := q.get(paramSignatureV2)
	if n > 1 || m > 1 || o > 1 {
		return nil, errRepeated("AWSAccessKeyId, Expires, Signature")
	}
	if accessKey == "" || expires == "" || signature == "" || len(accessKey) > maxAccessKey {
		return nil, refuse(CodeAccessDenied, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
	}
	seconds, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || seconds < 0 {
		return nil, refuse(CodeAccessDenied, "Invalid date (should be seconds since epoch)")
	}
	id := &Identity{AccessKey: accessKey, Form: FormV2Query, Expires: time.Unix(seconds, 0).UTC()}
	if now := v.Now(); now.Unix() > seconds {
		return nil, errExpired(id.Expires, now)
	}
	if id.Hoisted, err = q.hoistedV2(r.Header); err != nil {
		return nil, err
	}
	token, err := presignedValueV2(r.Header, q)
	if err != nil {
		return nil, err
	}
	return v.verifyV2(ctx, r, q, id, expires, token, signature)
}

// presignedValueV2 returns the session token: in the header, or in a parameter whose
// name Version 2 signers write in lower case.
func presignedValueV2(h http.Header, q query) (string, error) {
	value, ok, err := single(h, headerToken)
	for _, p := range q {
		if !strings.EqualFold(p.name, headerToken) {
			continue
		}
		if ok {
			return "", errRepeated("x-amz-security-token")
		}
		value, ok = p.value, true
	}
	return value, err
}

// hoistedV2 is hoisted, and Content-MD5 and Content-Type, which signers of Version 2
// move into the query too. A header goes before its parameter.
func (q query) hoistedV2(header http.Header) (http.Header, error) {
	h, err := q.hoisted()
	if err != nil {
		return nil, err
	}
	for _, name := range [...]string{"Content-Md5", "Content-Type"} {
		value, n := q.get(strings.ToLower(name))
		if n > 1 || strings.ContainsAny(value, "\r\n\x00") {
			return nil, errRepeated(strings.ToLower(name))
		}
		if _, ok := header[name]; n == 0 || ok {
			continue
		}
		if h == nil {
			h = http.Header{}
		}
		h.Set(name, value)
	}
	return h, nil
}

func (v *Verifier) allowsV2() error {
	if v.AllowV2 {
		return nil
	}
	return refuse(CodeInvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
}

// verifyV2 is where both forms of Version 2 meet. date is the fourth line of the
// string to sign.
func (v *Verifier) verifyV2(ctx context.Context, r *http.Request, q query, id *Identity, date, token, signature string) (*Identity, error) {
	if err := checkSubResources(q); err != nil {
		return nil, err
	}
	secret, known, err := v.lookup(ctx, id.AccessKey, token)
	if err != nil {
		return nil, err
	}
	bucket := ""
	if v.VirtualHost != nil {
		if b, ok := v.VirtualHost(r.Host); ok {
			bucket = b
		}
	}
	path := rawPath(r)
	match := v.matchesV2(secret, r, q, date, bucket, path, signature, id.Form)
	if bucket == "" && len(path) > 1 && strings.Count(path, "/") == 1 {
		// SDKs send /bucket and sign /bucket/, which is the same resource.
		match |= v.matchesV2(secret, r, q, date, bucket, path+"/", signature, id.Form)
	}
	if !known {
		return nil, errUnknownKey(id.AccessKey)
	}
	if match != 1 {
		return nil, errMismatch(id.AccessKey, "")
	}
	if err := id.setPayload(r.Header); err != nil {
		return nil, err
	}
	if err := q.checkOverrides(r.Method, false); err != nil {
		return nil, err
	}
	return id, id.setFraming(r)
}

// matchesV2 returns 1 if the signature is that of the request with this path, else 0.
func (v *Verifier) matchesV2(secret Secret, r *http.Request, q query, date, bucket, path, signature string, form Form) int {
	buf := v.buffer()
	*buf = appendStringV2((*buf)[:0], r, q, date, bucket, path, form == FormV2Query)
	computed := macV2(secret, *buf)
	v.buffers.Put(buf)
	return subtle.ConstantTimeCompare([]byte(computed), []byte(signature))
}

func macV2(secret Secret, toSign []byte) string {
	m := hmac.New(digest.NewSHA1, secret.Reveal())
	m.Write(toSign)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// appendStringV2 appends the string to sign:
//
//	method \n Content-MD5 \n Content-Type \n date \n (x-amz-header:value \n)* /bucket path ?sub-resources
//
// path is the path as it was sent, escapes and all. In a presigned request
// parameters stand for headers that are not there.
func appendStringV2(dst []byte, r *http.Request, q query, date, bucket, path string, presigned bool) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, '\n')
	for _, name := range [...]string{"Content-Md5", "Content-Type"} {
		value := r.Header.Get(name)
		if _, ok := r.Header[name]; !ok && presigned {
			value, _ = q.get(strings.ToLower(name))
		}
		dst = append(dst, strings.Trim(value, " \t")...)
		dst = append(dst, '\n')
	}
	dst = append(dst, date...)
	dst = append(dst, '\n')
	dst = appendAmzHeaders(dst, r.Header, q, presigned)
	if bucket != "" {
		dst = append(dst, '/')
		dst = append(dst, bucket...)
	}
	dst = append(dst, path...)
	return appendSubResources(dst, q)
}

// appendAmzHeaders appends the x-amz-* headers: lower case, sorted, values of one
// name joined by commas.
func appendAmzHeaders(dst []byte, h http.Header, q query, presigned bool) []byte {
	values := make(map[string][]string)
	for name, v := range h {
		if hasAmzPrefix(name) {
			values[strings.ToLower(name)] = v
		}
	}
	if presigned {
		for _, p := range q {
			if hasAmzPrefix(p.name) {
				name := strings.ToLower(p.name)
				values[name] = append(slices.Clip(values[name]), p.value)
			}
		}
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		dst = append(dst, name...)
		dst = append(dst, ':')
		for i, value := range values[name] {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, strings.Trim(value, " \t")...)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// checkSubResources refuses a value that would read as further sub-resources in the
// string to sign, where values stand decoded: ?partNumber=1%26uploadId%3Dx must not
// pass for ?partNumber=1&uploadId=x.
func checkSubResources(q query) error {
	for _, p := range q {
		_, rest, more := strings.Cut(p.value, "&")
		for more && IsSubResource(p.name) {
			var piece string
			piece, rest, more = strings.Cut(rest, "&")
			if name, _, _ := strings.Cut(piece, "="); IsSubResource(name) {
				return refuse(CodeInvalidArgument, "The value of a sub-resource is ambiguous.", Detail{"ArgumentName", p.name})
			}
		}
	}
	return nil
}

// appendSubResources appends ?acl&versionId=value: sorted, values decoded.
func appendSubResources(dst []byte, q query) []byte {
	var subs query
	for _, p := range q {
		if IsSubResource(p.name) {
			subs = append(subs, p)
		}
	}
	slices.SortStableFunc(subs, func(a, b param) int { return strings.Compare(a.name, b.name) })
	for i, p := range subs {
		if i == 0 {
			dst = append(dst, '?')
		} else {
			dst = append(dst, '&')
		}
		dst = append(dst, p.name...)
		if p.value != "" {
			dst = append(dst, '=')
			dst = append(dst, p.value...)
		}
	}
	return dst
}
