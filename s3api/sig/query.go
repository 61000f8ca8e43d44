package sig

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// param is one parameter of a query, decoded.
type param struct{ name, value string }

// query is the parameters of a request in the order they came.
type query []param

// parseQuery splits and decodes a raw query as S3 does: & separates, + is a space,
// a parameter without = has an empty value. Malformed escapes are refused.
func parseQuery(raw string) (query, error) {
	if raw == "" {
		return nil, nil
	}
	q := make(query, 0, strings.Count(raw, "&")+1)
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, ok := unescape(name, true)
		v, ok2 := unescape(value, true)
		if !ok || !ok2 {
			return nil, refuse(CodeInvalidURI, "Couldn't parse the specified URI.")
		}
		q = append(q, param{n, v})
	}
	return q, nil
}

// get returns the first value of a parameter and how often it occurs.
func (q query) get(name string) (value string, count int) {
	for i := range q {
		if q[i].name != name {
			continue
		}
		if count == 0 {
			value = q[i].value
		}
		count++
	}
	return value, count
}

// has reports whether any of the names occurs.
func (q query) has(names ...string) bool {
	return slices.ContainsFunc(q, func(p param) bool { return slices.Contains(names, p.name) })
}

// hasFold is has, in any case of letters.
func (q query) hasFold(names ...string) bool {
	return slices.ContainsFunc(q, func(p param) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, p.name) })
	})
}

// hoisted returns the x-amz-* parameters of a presigned query that stand for
// headers: what an SDK moved from the headers into the query when it presigned.
// Names and values that could not be a header's are refused.
func (q query) hoisted() (http.Header, error) {
	var h http.Header
	for _, p := range q {
		if !hasAmzPrefix(p.name) || isSigningParam(p.name) {
			continue
		}
		if !isToken(p.name) {
			return nil, refuse(CodeInvalidArgument, "A parameter that stands for a header must have a header's name.",
				Detail{"ArgumentName", p.name})
		}
		if strings.ContainsAny(p.value, "\r\n\x00") {
			return nil, refuse(CodeInvalidArgument, "A header value must not contain line breaks.",
				Detail{"ArgumentName", p.name})
		}
		if h == nil {
			h = http.Header{}
		}
		h.Add(p.name, p.value)
	}
	return h, nil
}

// isToken reports whether a header can have the name. (In the string that Version 2
// signs, a name with a colon and a line break would read as two headers.)
func isToken(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !unreserved(c) && strings.IndexByte("!#$%&'*+^`|", c) < 0 {
			return false
		}
	}
	return name != ""
}

// isSigningParam reports whether a parameter belongs to the signature itself, in any
// case: Version 2 signers write the session token in lower case.
// IsSigningParam reports whether a parameter of a query is one by which it is signed.
func IsSigningParam(name string) bool {
	return isSigningParam(name) || slices.Contains([]string{"AWSAccessKeyId", "Signature", "Expires"}, name)
}

func isSigningParam(name string) bool {
	return slices.ContainsFunc([]string{
		paramAlgorithm, paramCredential, paramDate, paramExpires, paramSignedHeaders, paramSignature,
		paramToken, headerContentSHA256,
	}, func(p string) bool { return strings.EqualFold(p, name) })
}

// checkOverrides refuses response-* parameters that would break a response's
// headers, and all of them on an anonymous read.
func (q query) checkOverrides(method string, anonymous bool) error {
	for _, p := range q {
		if !strings.HasPrefix(p.name, "response-") || !isOverride(p.name) {
			continue
		}
		if anonymous && (method == http.MethodGet || method == http.MethodHead) {
			return refuse(CodeInvalidRequest, "Request specific response headers cannot be used for anonymous GET requests.")
		}
		if strings.ContainsAny(p.value, "\r\n\x00") {
			return refuse(CodeInvalidArgument, "A response header must not contain line breaks.",
				Detail{"ArgumentName", p.name})
		}
	}
	return nil
}

func isOverride(name string) bool {
	switch name {
	case "response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires":
		return true
	}
	return false
}

// appendCanonical appends the canonical query of Version 4: every parameter but
// skip, encoded, sorted by encoded name and then by encoded value.
func (q query) appendCanonical(dst []byte, skip string) []byte {
	if len(q) == 0 {
		return dst
	}
	enc := make([]param, 0, len(q))
	for _, p := range q {
		if p.name != skip || skip == "" {
			enc = append(enc, param{escape(p.name), escape(p.value)})
		}
	}
	slices.SortFunc(enc, func(a, b param) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	for i, p := range enc {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(dst, p.name...)
		dst = append(dst, '=')
		dst = append(dst, p.value...)
	}
	return dst
}
