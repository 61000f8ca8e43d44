package policy

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// tokenKind is what a piece of a pattern stands for.
type tokenKind uint8

const (
	literal  tokenKind = iota
	one                // ?: any one character
	star               // *: any characters, also none
	variable           // ${key}: what the request's context says
)

// token is a piece of a pattern.
type token struct {
	kind tokenKind
	text string // the literal, or the variable's key in lower case
	// fallback stands for a variable without a value, if there is one.
	fallback    string
	hasFallback bool
}

// pattern is a text with wildcards and variables. No two literals stand side by side
// where it was compiled.
type pattern []token

// syntax says what of a text is not literal.
type syntax struct {
	wildcards bool // * and ?
	variables bool // ${...}: policies of version 2012-10-17
}

var errVariable = errors.New("a policy variable is not well-formed")

// compile reads a pattern.
func compile(text string, s syntax) (pattern, error) {
	var p pattern
	for text != "" {
		switch {
		case s.wildcards && text[0] == '*':
			if len(p) == 0 || p[len(p)-1].kind != star { // ** is *
				p = append(p, token{kind: star})
			}
			text = text[1:]
		case s.wildcards && text[0] == '?':
			p = append(p, token{kind: one})
			text = text[1:]
		case s.variables && strings.HasPrefix(text, "${"):
			t, rest, ok := readVariable(text[2:])
			if !ok {
				return nil, errVariable
			}
			t.text = strings.ToLower(t.text)
			p, text = p.add(t), rest
		default:
			n := 1 // whatever the first byte is, it is literal
			for n < len(text) && text[n] != '*' && text[n] != '?' && text[n] != '$' {
				n++
			}
			p, text = p.add(token{text: text[:n]}), text[n:]
		}
	}
	return p, nil
}

// variablesIn are the keys of a text's variables as they are written. The text is one that
// compile has taken.
func variablesIn(text string) []string {
	var keys []string
	for {
		var ok bool
		var t token
		if _, text, ok = strings.Cut(text, "${"); !ok {
			return keys
		}
		if t, text, _ = readVariable(text); t.kind == variable {
			keys = append(keys, t.text)
		}
	}
}

// readVariable reads what follows "${". Its key is as it is written.
func readVariable(text string) (t token, rest string, ok bool) {
	end := strings.IndexAny(text, ",}")
	if end <= 0 {
		return t, "", false
	}
	key, end1 := strings.TrimSpace(text[:end]), text[end]
	rest = text[end+1:]
	if end1 == '}' {
		if key == "*" || key == "?" || key == "$" {
			return token{text: key}, rest, true // an escape
		}
		return token{kind: variable, text: key}, rest, ValidKey(key)
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), "'")
	if !ok {
		return t, "", false
	}
	fallback, rest, ok := strings.Cut(rest, "'")
	if !ok {
		return t, "", false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), "}")
	return token{kind: variable, text: key, fallback: fallback, hasFallback: true}, rest, ok && ValidKey(key)
}

// add appends a token, and a literal to the literal before it.
func (p pattern) add(t token) pattern {
	if n := len(p); t.kind == literal && n > 0 && p[n-1].kind == literal {
		p[n-1].text += t.text
		return p
	}
	return append(p, t)
}

// bind puts the context's values for variables. False: one has none, or several.
func (p pattern) bind(c *Context) (pattern, bool) {
	if !slices.ContainsFunc(p, func(t token) bool { return t.kind == variable }) {
		return p, true
	}
	bound := make(pattern, 0, len(p))
	for _, t := range p {
		if t.kind == variable {
			values := c.values(t.text)
			switch {
			case len(values) == 1:
				t = token{text: values[0]}
			case len(values) == 0 && t.hasFallback:
				t = token{text: t.fallback}
			default:
				return nil, false
			}
		}
		bound = bound.add(t)
	}
	return bound, true
}

// text is that of a pattern without wildcards and variables.
func (p pattern) text() string {
	if len(p) == 0 {
		return ""
	}
	return p[0].text
}

// match reports whether all of s fits. Each piece between two stars is sought once,
// behind the one before it: nothing is tried again, so that no text makes it slow.
func (p pattern) match(s string) bool {
	piece, rest, more := p.cut()
	n := piece.head(s)
	if n < 0 || !more {
		return n == len(s)
	}
	for s = s[n:]; ; s = s[n:] {
		if piece, rest, more = rest.cut(); !more {
			return piece.tail(s)
		}
		if n = piece.find(s); n < 0 {
			return false
		}
	}
}

// cut gives what stands before the first star, and what behind it.
func (p pattern) cut() (piece, rest pattern, more bool) {
	for i := range p {
		if p[i].kind == star {
			return p[:i], p[i+1:], true
		}
	}
	return p, nil, false
}

// head is how many bytes of s fit p at its beginning; -1: none do. p has no star.
func (p pattern) head(s string) int {
	n := 0
	for i := range p {
		if p[i].kind == literal {
			if !strings.HasPrefix(s[n:], p[i].text) {
				return -1
			}
			n += len(p[i].text)
			continue
		}
		if n == len(s) {
			return -1
		}
		_, size := utf8.DecodeRuneInString(s[n:])
		n += size
	}
	return n
}

// tail reports whether s ends with p.
func (p pattern) tail(s string) bool {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i].kind == literal {
			var ok bool
			if s, ok = strings.CutSuffix(s, p[i].text); !ok {
				return false
			}
			continue
		}
		if s == "" {
			return false
		}
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return true
}

// find gives the end of the first place in s that fits p; -1: there is none.
func (p pattern) find(s string) int {
	if len(p) == 0 {
		return 0
	}
	for at := 0; ; {
		if p[0].kind == literal {
			skip := strings.Index(s[at:], p[0].text)
			if skip < 0 {
				return -1
			}
			at += skip
		}
		if n := p.head(s[at:]); n >= 0 {
			return at + n
		}
		if at == len(s) {
			return -1
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
}
