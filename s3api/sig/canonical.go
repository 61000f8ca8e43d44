package sig

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ironman/wal/digest"
)

// message is what Version 4 signs of a request.
type message struct {
	r       *http.Request
	path    string // decoded
	query   query
	skip    string   // the parameter that is not signed: the signature itself
	signed  []string // names of signed headers: lower case, sorted, no duplicates
	payload string   // x-amz-content-sha256, or what stands for it
}

// decodedPath returns the path of a request with its escapes decoded, once.
func decodedPath(r *http.Request) (string, error) {
	p, ok := unescape(rawPath(r), false)
	if !ok {
		return "", refuse(CodeInvalidURI, "Couldn't parse the specified URI.")
	}
	return p, nil
}

// appendCanonical appends the canonical request:
//
//	method \n path \n query \n (header:value \n)* \n signed;headers \n payload
func (m *message) appendCanonical(dst []byte) []byte {
	dst = append(dst, m.r.Method...)
	dst = append(dst, '\n')
	dst = appendEscaped(dst, m.path, true)
	dst = append(dst, '\n')
	dst = m.query.appendCanonical(dst, m.skip)
	dst = append(dst, '\n')
	for _, name := range m.signed {
		dst = append(dst, name...)
		dst = append(dst, ':')
		dst = m.appendHeader(dst, name)
		dst = append(dst, '\n')
	}
	dst = append(dst, '\n')
	for i, name := range m.signed {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(dst, name...)
	}
	dst = append(dst, '\n')
	return append(dst, m.payload...)
}

// appendHeader appends the canonical value of a signed header. A header that is not
// there has an empty value. net/http keeps some headers elsewhere than in Header.
func (m *message) appendHeader(dst []byte, name string) []byte {
	values := m.r.Header[canonicalName(name)]
	switch name {
	case "host":
		host := m.r.Host
		if host == "" && m.r.URL != nil {
			host = m.r.URL.Host // a request that was made here
		}
		return appendCollapsed(dst, host)
	case "content-length":
		if len(values) == 0 && m.r.ContentLength >= 0 {
			return strconv.AppendInt(dst, m.r.ContentLength, 10)
		}
	case "transfer-encoding":
		if len(values) == 0 {
			return append(dst, strings.Join(m.r.TransferEncoding, ",")...)
		}
	}
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCollapsed(dst, v)
	}
	return dst
}

// canonicalName returns the key of a header in http.Header, without allocating for
// those that nearly every request has.
func canonicalName(lower string) string {
	switch lower {
	case "x-amz-date":
		return "X-Amz-Date"
	case "x-amz-content-sha256":
		return headerContentSHA256
	case "x-amz-decoded-content-length":
		return headerDecodedLength
	case "x-amz-trailer":
		return headerTrailer
	case "x-amz-sdk-checksum-algorithm":
		return "X-Amz-Sdk-Checksum-Algorithm"
	case "x-amz-security-token":
		return headerToken
	case "x-amz-user-agent":
		return "X-Amz-User-Agent"
	case "amz-sdk-invocation-id":
		return "Amz-Sdk-Invocation-Id"
	case "amz-sdk-request":
		return "Amz-Sdk-Request"
	}
	return http.CanonicalHeaderKey(lower)
}

// appendCollapsed appends v without leading and trailing spaces and tabs, each run
// of them inside as one space.
func appendCollapsed(dst []byte, v string) []byte {
	start, pending := len(dst), false
	for i := range len(v) {
		c := v[i]
		if c == ' ' || c == '\t' {
			pending = len(dst) > start
			continue
		}
		if pending {
			dst, pending = append(dst, ' '), false
		}
		dst = append(dst, c)
	}
	return dst
}

// stringToSign returns what the signature is over: the canonical request by its
// hash, bound to time and scope.
func stringToSign(time, scope string, canonical []byte) string {
	sum := digest.SHA256(canonical)
	b := make([]byte, 0, len(algorithmV4)+len(time)+len(scope)+2*len(sum)+3)
	b = append(b, algorithmV4...)
	b = append(b, '\n')
	b = append(b, time...)
	b = append(b, '\n')
	b = append(b, scope...)
	b = append(b, '\n')
	return string(hex.AppendEncode(b, sum[:]))
}

// parseSignedHeaders reads host;x-amz-date;...: lower case and sorted whatever the
// client wrote. ok is false for an empty list, an empty name, a name twice, or one
// that no header can have.
func parseSignedHeaders(list string) (names []string, ok bool) {
	names = strings.Split(strings.ToLower(list), ";")
	if !slices.IsSorted(names) {
		slices.Sort(names)
	}
	for i, n := range names {
		if n == "" || i > 0 && n == names[i-1] || strings.ContainsAny(n, " :\t\r\n\x00") {
			return nil, false
		}
	}
	return names, true
}

// unsigned returns the names of the headers that must be signed and are not, comma
// separated: Host and every x-amz-* that is there.
func unsigned(h http.Header, signed []string) string {
	var missing []string
	if _, ok := slices.BinarySearch(signed, "host"); !ok {
		missing = append(missing, "host")
	}
	for name := range h {
		if !hasAmzPrefix(name) {
			continue
		}
		if !slices.ContainsFunc(signed, func(s string) bool { return strings.EqualFold(s, name) }) {
			missing = append(missing, strings.ToLower(name))
		}
	}
	slices.Sort(missing)
	return strings.Join(missing, ", ")
}
