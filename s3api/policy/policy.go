package policy

import (
	"strings"
	"unicode"
)

// Kind says where a policy stands, and so what it may say.
type Kind uint8

const (
	// Bucket is a policy of a bucket: it names principals, and resources of its bucket.
	Bucket Kind = iota
	// Identity is a policy of a user, group or role, or a boundary: it names no principals.
	Identity
	// Trust is a role's: who may assume it. It names no resources.
	Trust
	// Session is one that a session was begun with.
	Session
)

// Amazon's limits of size. Those of IAM count no white space: see Size.
const (
	MaxBucket  = 20 << 10
	MaxManaged = 6144
	MaxInline  = 2048 // of a user, all its policies together
	MaxTrust   = 2048
	// maxText is the most that Parse looks at, of any kind.
	maxText = 20 << 10
)

// Size is a policy's length as IAM counts it: characters without white space.
func Size(text []byte) int {
	n := 0
	for _, r := range string(text) {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// The versions of the language. Without one it is the older.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// Policy is a parsed policy. It is immutable.
type Policy struct {
	kind       Kind
	id         string
	variables  bool // the version has them
	statements []*statement
	keys       []string // that it asks for, as they are written
}

// Parse reads a policy. Its error is an *Error. The text is the caller's to keep: a
// Policy cannot be turned back into it.
func Parse(text []byte, k Kind) (*Policy, error) {
	if len(text) > maxText {
		return nil, k.refuse("Policy exceeds the maximum allowed document size.", "Policy exceeds the maximum allowed document size.", "")
	}
	if len(text) == 0 || text[0] != '{' {
		const message = "Policies must be valid JSON and the first byte must be '{'"
		return nil, k.refuse(message, "Syntax errors in policy.", "")
	}
	n, err := parseJSON(text)
	if err != nil {
		return nil, k.refuse("This policy contains invalid Json", "Syntax errors in policy.", err.Error())
	}
	p := &Policy{kind: k}
	var statements *node
	for _, f := range n.fields { // Version goes before Statement, wherever it stands
		switch {
		case f.name == "Version":
			if f.value.text != version2008 && f.value.text != version2012 || !f.value.isString() {
				return nil, k.refuse("The policy must contain a valid version string", "The policy must contain a valid version string.", f.value.text)
			}
			p.variables = f.value.text == version2012
		case f.name == "Id":
			if !f.value.isString() {
				return nil, k.syntax("Id")
			}
			p.id = f.value.text
		case f.name == "Statement":
			statements = f.value
		default:
			return nil, k.refuse("Unknown field "+f.name, "Syntax errors in policy.", f.name)
		}
	}
	if statements == nil {
		return nil, k.missing("Statement")
	}
	return p, p.parseStatements(statements)
}

func (k Kind) missing(name string) *Error {
	const before = "Missing required field "
	return k.refuse(before+name, before+name, "")
}

func (p *Policy) parseStatements(n *node) error {
	if len(n.list()) == 0 {
		return p.kind.refuse("Could not parse the policy: Statement is empty!", "Syntax errors in policy.", "")
	}
	sids := make(map[string]bool)
	for _, n := range n.list() {
		s, err := p.parseStatement(n)
		if err != nil {
			return err
		}
		if p.kind != Bucket && s.sid != "" {
			if sids[s.sid] {
				return p.kind.refuse("", "Statement IDs (SID) in a single policy must be unique.", s.sid)
			}
			if strings.IndexFunc(s.sid, func(r rune) bool { return r > 'z' || !unicode.IsLetter(r) && !unicode.IsDigit(r) }) >= 0 {
				return p.kind.refuse("", "Statement IDs (SID) should be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*", s.sid)
			}
			sids[s.sid] = true
		}
		p.statements = append(p.statements, s)
	}
	return nil
}

// ID is the policy's own Id; often empty.
func (p *Policy) ID() string { return p.id }

// CheckBucket refuses a policy of which a statement names resources that are not the
// bucket's.
func (p *Policy) CheckBucket(name string) error {
	for _, s := range p.statements {
		for i := range s.resources {
			if !s.resources[i].inBucket(name) {
				return Bucket.badResource(s.resourceTexts[i])
			}
		}
	}
	return nil
}
