package s3xml

import "unicode/utf8"

// AppendText appends s as character data, fit for elements and attributes.
// Control characters become references (&#x1;), as Amazon writes them, though
// XML 1.0 has no room for most of them: a key must not be changed on its way out.
// A byte that is not UTF-8 becomes U+FFFD; encoding-type=url keeps such keys whole.
func AppendText(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '&' && c != '<' && c != '>' && c != '"' && c != '\'' {
				i++
				continue
			}
			dst = appendReference(append(dst, s[from:i]...), rune(c))
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[from:i]...), "\ufffd"...)
			from = i + 1
		case r == 0xFFFE || r == 0xFFFF:
			dst = appendReference(append(dst, s[from:i]...), r)
			from = i + size
		}
		i += size
	}
	return append(dst, s[from:]...)
}

func appendReference(dst []byte, r rune) []byte {
	switch r {
	case '&':
		return append(dst, "&amp;"...)
	case '<':
		return append(dst, "&lt;"...)
	case '>':
		return append(dst, "&gt;"...)
	case '"':
		return append(dst, "&quot;"...)
	case '\'':
		return append(dst, "&#39;"...)
	}
	dst = append(dst, "&#x"...)
	for shift := 12; shift >= 0; shift -= 4 {
		if digit := r >> shift & 15; digit != 0 || r>>shift != 0 || shift == 0 {
			dst = append(dst, "0123456789ABCDEF"[digit])
		}
	}
	return append(dst, ';')
}

// AppendURL appends s as listings with encoding-type=url give keys: UTF-8 bytes as
// %XX, but for letters, digits, "-", "_", ".", "*" and "/". A space is %20, which
// every client decodes, whether it reads "+" as a space or not.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
func AppendURL(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '*', c == '/':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return dst
}
