package sig

import (
	"net/http"
	"strings"
)

// rawPath returns the path of a request exactly as it stood in the request line,
// without scheme, host and query: what Version 2 signs. For a request that was made
// here and not received, it is what would be sent.
func rawPath(r *http.Request) string {
	p := r.RequestURI
	if p == "" {
		if p = r.URL.EscapedPath(); p == "" {
			return "/"
		}
		return p
	}
	p, _, _ = strings.Cut(p, "?")
	if strings.HasPrefix(p, "/") || p == "*" {
		return p
	}
	// The absolute form: scheme://host/path.
	if _, rest, ok := strings.Cut(p, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
	}
	return "/"
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// appendEscaped appends s encoded by S3's rules: the unreserved characters of
// RFC 3986 stand for themselves, all other bytes become %XX with upper-case digits;
// slash says whether / stands for itself too.
func appendEscaped(dst []byte, s string, slash bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if unreserved(c) || slash && c == '/' {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', digits[c>>4], digits[c&15])
	}
	return dst
}

// escape returns s encoded as a name or value of a canonical query.
func escape(s string) string {
	for i := range len(s) {
		if !unreserved(s[i]) {
			return string(appendEscaped(make([]byte, 0, len(s)+16), s, false))
		}
	}
	return s
}

// unescape decodes %XX, and + to a space if plus is set. ok is false where an
// escape is malformed.
func unescape(s string, plus bool) (decoded string, ok bool) {
	if strings.IndexByte(s, '%') < 0 && (!plus || strings.IndexByte(s, '+') < 0) {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+' && plus:
			b = append(b, ' ')
		case s[i] != '%':
			b = append(b, s[i])
		default:
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "", false
			}
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		}
	}
	return string(b), true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// hasAmzPrefix reports whether a header's or parameter's name begins with x-amz-,
// in any case.
func hasAmzPrefix(name string) bool {
	const prefix = "x-amz-"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}
