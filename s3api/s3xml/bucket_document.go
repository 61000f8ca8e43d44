package s3xml

import "strings"

// invalidRequest and invalidArgument are Amazon's codes for documents that are of the
// schema but ask for what cannot be. The message is for the client.
func invalidRequest(message string) error { return &Error{Code: "InvalidRequest", Message: message} }

func invalidArgument(message string) error { return &Error{Code: "InvalidArgument", Message: message} }

func notImplemented(message string) error { return &Error{Code: "NotImplemented", Message: message} }

// quotable is a client's text as a message repeats it: not at any length, and without
// what no terminal should be given.
func quotable(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}

func appendStrings(dst []byte, name string, values []string) []byte {
	for _, v := range values {
		dst = appendString(dst, name, v)
	}
	return dst
}

// appendSomeInt appends nothing for nil.
func appendSomeInt[N int | int64](dst []byte, name string, n *N) []byte {
	if n == nil {
		return dst
	}
	return appendInt(dst, name, int64(*n))
}

// appendPresent appends nothing for nil, and an empty element for empty text.
func appendPresent(dst []byte, name string, value *string) []byte {
	if value == nil {
		return dst
	}
	return appendString(dst, name, *value)
}

// Raw is a document's root element as it was once appended: what the store keeps of a
// bucket's documents.
type Raw []byte

// AppendXML appends the root element.
func (r Raw) AppendXML(dst []byte) []byte { return append(dst, r...) }
