package s3xml

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenStart tokenKind = iota
	tokenEnd
	tokenText
	tokenEOF
)

// token is one piece of a document. attrs is valid until the next one is read.
type token struct {
	kind  tokenKind
	name  string // of a start: local name
	text  string // of a text: references resolved, line ends normalised
	attrs []attr // of a start: those of the XML Schema instance namespace
}

type attr struct {
	prefix, name, value string
}

// binding is a namespace declaration, in force down to the end of its element.
type binding struct {
	prefix, space string
	depth         int
}

// scanner splits a document into tokens. It accepts the part of XML 1.0 that a
// request needs: no DTD, no processing instruction, names of ASCII letters, and
// namespaces of S3 alone. Beyond XML 1.0 it takes references to control
// characters (&#1;), without which a key that holds one could not be named.
//
// The strings it gives are slices of the document wherever nothing had to be
// replaced in them.
type scanner struct {
	s   string
	pos int
	// open holds the names, as written, of the elements that are not closed yet.
	open  []string
	bound []binding
	attrs []attr
	// selfClosed: the last start tag was an empty element, its end is due.
	selfClosed bool
	// rooted: the root element has begun.
	rooted bool
}

// newScanner begins a document: byte order mark, encoding and declaration.
func newScanner(s string) (*scanner, error) {
	sc := &scanner{s: strings.TrimPrefix(s, "\ufeff")}
	if !utf8.ValidString(sc.s) {
		return nil, malformed("not UTF-8")
	}
	if len(sc.s) > 5 && strings.HasPrefix(sc.s, "<?xml") && isSpace(sc.s[5]) {
		if err := sc.declaration(); err != nil {
			return nil, err
		}
	}
	return sc, nil
}

// declaration reads <?xml version="1.0" encoding="UTF-8"?>.
func (sc *scanner) declaration() error {
	end := strings.Index(sc.s, "?>")
	if end < 0 {
		return sc.bad("declaration without end")
	}
	inner := scanner{s: sc.s[:end], pos: len("<?xml")}
	for {
		spaced := inner.space() > 0
		if inner.pos == len(inner.s) {
			break
		}
		if !spaced {
			return sc.bad("declaration")
		}
		a, err := inner.attribute()
		if err != nil {
			return err
		}
		ok := false
		switch a.name {
		case "version":
			ok = a.value == "1.0" || a.value == "1.1"
		case "encoding":
			ok = strings.EqualFold(a.value, "utf-8") || strings.EqualFold(a.value, "us-ascii")
		case "standalone":
			ok = a.value == "yes" || a.value == "no"
		}
		if !ok || a.prefix != "" {
			return sc.bad("declaration")
		}
	}
	sc.pos = end + len("?>")
	return nil
}

// next gives the next token. Comments are skipped; text may come in pieces.
func (sc *scanner) next() (token, error) {
	if sc.selfClosed {
		sc.selfClosed = false
		sc.pop()
		return token{kind: tokenEnd}, nil
	}
	for sc.pos < len(sc.s) {
		rest := sc.s[sc.pos:]
		switch {
		case rest[0] != '<':
			return sc.text()
		case strings.HasPrefix(rest, "</"):
			return sc.end()
		case strings.HasPrefix(rest, "<!--"):
			if err := sc.comment(); err != nil {
				return token{}, err
			}
		case strings.HasPrefix(rest, "<![CDATA["):
			return sc.cdata()
		case strings.HasPrefix(rest, "<!"), strings.HasPrefix(rest, "<?"):
			return token{}, sc.bad("declarations and processing instructions are not accepted")
		default:
			return sc.start()
		}
	}
	if len(sc.open) > 0 || !sc.rooted {
		return token{}, sc.bad("unexpected end")
	}
	return token{kind: tokenEOF}, nil
}

func (sc *scanner) text() (token, error) {
	end := strings.IndexByte(sc.s[sc.pos:], '<')
	if end < 0 {
		end = len(sc.s) - sc.pos
	}
	raw := sc.s[sc.pos : sc.pos+end]
	if len(sc.open) == 0 && !allSpace(raw) {
		return token{}, sc.bad("text outside the root element")
	}
	if strings.Contains(raw, "]]>") {
		return token{}, sc.bad("]]> in text")
	}
	text, ok := resolve(raw, false)
	if !ok {
		return token{}, sc.bad("illegal character or reference")
	}
	sc.pos += end
	return token{kind: tokenText, text: text}, nil
}

func (sc *scanner) cdata() (token, error) {
	from := sc.pos + len("<![CDATA[")
	end := strings.Index(sc.s[from:], "]]>")
	if end < 0 || len(sc.open) == 0 {
		return token{}, sc.bad("CDATA")
	}
	text, ok := plain(sc.s[from : from+end])
	if !ok {
		return token{}, sc.bad("illegal character")
	}
	sc.pos = from + end + len("]]>")
	return token{kind: tokenText, text: text}, nil
}

func (sc *scanner) comment() error {
	from := sc.pos + len("<!--")
	end := strings.Index(sc.s[from:], "--")
	if end < 0 || !strings.HasPrefix(sc.s[from+end:], "-->") {
		return sc.bad("comment")
	}
	if _, ok := plain(sc.s[from : from+end]); !ok {
		return sc.bad("illegal character")
	}
	sc.pos = from + end + len("-->")
	return nil
}

func (sc *scanner) end() (token, error) {
	sc.pos += len("</")
	name := sc.name()
	sc.space()
	if len(sc.open) == 0 || name != sc.open[len(sc.open)-1] || !sc.take('>') {
		return token{}, sc.bad("end tag")
	}
	sc.pop()
	return token{kind: tokenEnd}, nil
}

func (sc *scanner) start() (token, error) {
	if len(sc.open) == 0 && sc.rooted {
		return token{}, sc.bad("a second root element")
	}
	if len(sc.open) == MaxDepth {
		return token{}, sc.bad("nested too deep")
	}
	sc.pos++
	name := sc.name()
	if name == "" {
		return token{}, sc.bad("start tag")
	}
	sc.rooted = true
	sc.open = append(sc.open, name)
	if err := sc.attributes(); err != nil {
		return token{}, err
	}
	prefix, local, _ := split(name)
	if space, ok := sc.lookup(prefix); !ok || !ours(space) {
		return token{}, sc.bad("foreign namespace")
	}
	attrs, err := sc.instanceAttrs()
	if err != nil {
		return token{}, err
	}
	return token{kind: tokenStart, name: local, attrs: attrs}, nil
}

// attributes reads the rest of a start tag into sc.attrs and binds the namespaces
// that it declares.
func (sc *scanner) attributes() error {
	sc.attrs = sc.attrs[:0]
	for {
		spaced := sc.space() > 0
		if sc.take('>') {
			return nil
		}
		if sc.take('/') {
			sc.selfClosed = true
			if !sc.take('>') {
				return sc.bad("start tag")
			}
			return nil
		}
		if !spaced || len(sc.attrs) == 16 {
			return sc.bad("start tag")
		}
		a, err := sc.attribute()
		if err != nil {
			return err
		}
		for _, b := range sc.attrs {
			if a.prefix == b.prefix && a.name == b.name {
				return sc.bad("attribute repeated")
			}
		}
		sc.attrs = append(sc.attrs, a)
		switch {
		case a.prefix == "" && a.name == "xmlns":
			sc.bound = append(sc.bound, binding{"", a.value, len(sc.open)})
		case a.prefix == "xmlns":
			if a.value == "" || a.name == "xmlns" || a.name == "xml" {
				return sc.bad("namespace declaration")
			}
			sc.bound = append(sc.bound, binding{a.name, a.value, len(sc.open)})
		}
	}
}

// attribute reads name="value".
func (sc *scanner) attribute() (attr, error) {
	prefix, name, ok := split(sc.name())
	sc.space()
	if !ok || !sc.take('=') {
		return attr{}, sc.bad("attribute")
	}
	sc.space()
	if sc.pos == len(sc.s) || sc.s[sc.pos] != '"' && sc.s[sc.pos] != '\'' {
		return attr{}, sc.bad("attribute")
	}
	quote := sc.s[sc.pos]
	sc.pos++
	end := strings.IndexByte(sc.s[sc.pos:], quote)
	if end < 0 {
		return attr{}, sc.bad("attribute")
	}
	raw := sc.s[sc.pos : sc.pos+end]
	value, ok := resolve(raw, true)
	if !ok || strings.IndexByte(raw, '<') >= 0 {
		return attr{}, sc.bad("attribute value")
	}
	sc.pos += end + 1
	return attr{prefix, name, value}, nil
}

// instanceAttrs keeps the attributes that may mean something (xsi:type); those of
// the xml namespace are ignored, any other is not of our schema.
func (sc *scanner) instanceAttrs() ([]attr, error) {
	kept := sc.attrs[:0]
	for _, a := range sc.attrs {
		switch {
		case a.prefix == "xmlns", a.prefix == "" && a.name == "xmlns", a.prefix == "xml":
			continue
		}
		if space, ok := sc.lookup(a.prefix); a.prefix == "" || !ok || space != xsiNamespace {
			return nil, sc.bad("unknown attribute")
		}
		kept = append(kept, a)
	}
	return kept, nil
}

// lookup gives the namespace that prefix is bound to. No prefix and no
// declaration is no namespace.
func (sc *scanner) lookup(prefix string) (space string, ok bool) {
	for i := len(sc.bound) - 1; i >= 0; i-- {
		if sc.bound[i].prefix == prefix {
			return sc.bound[i].space, true
		}
	}
	return "", prefix == ""
}

// pop leaves the innermost element and what it declared.
func (sc *scanner) pop() {
	for len(sc.bound) > 0 && sc.bound[len(sc.bound)-1].depth == len(sc.open) {
		sc.bound = sc.bound[:len(sc.bound)-1]
	}
	sc.open = sc.open[:len(sc.open)-1]
}

// name reads a name of ASCII characters; empty where there is none.
func (sc *scanner) name() string {
	from := sc.pos
	for sc.pos < len(sc.s) {
		c := sc.s[sc.pos]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == ':'
		later := c >= '0' && c <= '9' || c == '-' || c == '.'
		if !letter && (!later || sc.pos == from) {
			break
		}
		sc.pos++
	}
	return sc.s[from:sc.pos]
}

func (sc *scanner) space() (n int) {
	for sc.pos < len(sc.s) && isSpace(sc.s[sc.pos]) {
		sc.pos++
		n++
	}
	return n
}

func (sc *scanner) take(c byte) bool {
	if sc.pos == len(sc.s) || sc.s[sc.pos] != c {
		return false
	}
	sc.pos++
	return true
}

func (sc *scanner) bad(what string) error {
	return malformed(what + " at byte " + strconv.Itoa(sc.pos))
}

// split parts prefix:local; ok is false for a name that is not one.
func split(name string) (prefix, local string, ok bool) {
	prefix, local, found := strings.Cut(name, ":")
	if !found {
		return "", name, name != ""
	}
	return prefix, local, prefix != "" && local != "" && !strings.Contains(local, ":")
}

func ours(space string) bool {
	return space == "" || space == Namespace || space == olderNamespace
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func allSpace(s string) bool {
	for i := range len(s) {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}
