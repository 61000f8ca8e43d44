package s3xml

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// resolve replaces the references of text or of an attribute's value, and
// normalises its line ends. ok is false where it holds a character that XML
// forbids, an unknown entity, or an ampersand that begins no reference.
//
// s is valid UTF-8.
func resolve(s string, inAttr bool) (text string, ok bool) {
	amp := strings.IndexByte(s, '&')
	if amp < 0 {
		return normal(s, inAttr)
	}
	var b strings.Builder
	b.Grow(len(s))
	for amp >= 0 {
		before, ok := normal(s[:amp], inAttr)
		if !ok {
			return "", false
		}
		b.WriteString(before)
		semicolon := strings.IndexByte(s[amp:], ';')
		if semicolon < 0 {
			return "", false
		}
		r, ok := reference(s[amp+1 : amp+semicolon])
		if !ok {
			return "", false
		}
		b.WriteRune(r)
		s = s[amp+semicolon+1:]
		amp = strings.IndexByte(s, '&')
	}
	after, ok := normal(s, inAttr)
	b.WriteString(after)
	return b.String(), ok
}

// reference gives the character that &name; stands for.
func reference(name string) (r rune, ok bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "apos":
		return '\'', true
	case "quot":
		return '"', true
	}
	digits, base := strings.CutPrefix(name, "#")
	if !base || digits == "" || len(digits) > 10 {
		return 0, false
	}
	radix := 10
	if digits[0] == 'x' {
		digits, radix = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, radix, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), true
}

// normal is text or an attribute's value without references.
func normal(s string, inAttr bool) (string, bool) {
	s, ok := plain(s)
	if ok && inAttr && strings.ContainsAny(s, "\t\n") {
		s = strings.NewReplacer("\t", " ", "\n", " ").Replace(s)
	}
	return s, ok
}

// plain checks that literal characters are allowed in XML and turns CR LF and CR
// into LF, as a parser must.
func plain(s string) (string, bool) {
	returns := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\r':
			returns = true
		case c < 0x20 && c != '\t' && c != '\n':
			return "", false
		case c == 0xEF && (strings.HasPrefix(s[i:], "\ufffe") || strings.HasPrefix(s[i:], "\uffff")):
			return "", false
		}
	}
	if returns {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	return s, true
}
