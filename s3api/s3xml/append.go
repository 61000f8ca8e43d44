package s3xml

import "strconv"

// Response is a document of an answer.
type Response interface {
	// AppendXML appends the document's root element.
	AppendXML(dst []byte) []byte
}

// Encode gives the whole document: declaration and root element.
func Encode(r Response) []byte {
	return r.AppendXML(append(make([]byte, 0, 512), Header...))
}

// The functions below append one element each. Names are ours and need no escaping.

func openRoot(dst []byte, name string) []byte {
	dst = append(append(dst, '<'), name...)
	return append(dst, ` xmlns="`+Namespace+`">`...)
}

func open(dst []byte, name string) []byte {
	return append(append(append(dst, '<'), name...), '>')
}

func shut(dst []byte, name string) []byte {
	return append(append(append(dst, "</"...), name...), '>')
}

func appendString(dst []byte, name, value string) []byte {
	return shut(AppendText(open(dst, name), value), name)
}

// appendSome appends nothing for an empty value.
func appendSome(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendString(dst, name, value)
}

func appendInt(dst []byte, name string, n int64) []byte {
	return shut(strconv.AppendInt(open(dst, name), n, 10), name)
}

func appendBool(dst []byte, name string, b bool) []byte {
	return shut(strconv.AppendBool(open(dst, name), b), name)
}

func appendTime(dst []byte, name string, t Time) []byte {
	return shut(t.append(open(dst, name)), name)
}

func appendETag(dst []byte, name string, e ETag) []byte {
	dst = append(open(dst, name), "&quot;"...)
	return shut(append(AppendText(dst, string(e)), "&quot;"...), name)
}

// appendKey appends a key, or a part of one, in the listing's encoding.
func appendKey(dst []byte, name, key string, encoding string) []byte {
	if encoding != EncodingURL {
		return appendString(dst, name, key)
	}
	return shut(AppendURL(open(dst, name), key), name)
}

func appendSomeKey(dst []byte, name, key string, encoding string) []byte {
	if key == "" {
		return dst
	}
	return appendKey(dst, name, key, encoding)
}
