package policy

import "strings"

// Context holds what is known of a request by condition key: a key has no value
// (it is missing), one, or several. Keys are compared without regard to case. The zero
// value knows nothing; nil is one.
type Context struct {
	byKey map[string][]string
}

// Set gives a key its values in place of what it had; without values it is missing.
func (c *Context) Set(key string, values ...string) {
	if c.byKey == nil {
		c.byKey = make(map[string][]string)
	}
	c.byKey[strings.ToLower(key)] = values
}

// Has reports whether a key has a value.
func (c *Context) Has(key string) bool { return len(c.values(strings.ToLower(key))) > 0 }

// add gives a key one more value.
func (c *Context) add(key, value string) {
	c.Set(key, append(c.values(strings.ToLower(key)), value)...)
}

// values are those of a key in lower case.
func (c *Context) values(key string) []string {
	if c == nil {
		return nil
	}
	return c.byKey[key]
}

// ValidKey reports whether a text can be a condition key: "vendor:name", and a tag's key
// behind a slash can be anything; or a provider of identities, by its URL without the
// scheme, and what of its tokens is meant: "idp.example:8443/path:sub".
func ValidKey(key string) bool {
	vendor, name, ok := strings.Cut(key, ":")
	if !ok || vendor == "" || name == "" {
		return false
	}
	if strings.ContainsAny(vendor, "./") {
		i := strings.LastIndexByte(key, ':')
		return keyWord(key[i+1:]) && !strings.ContainsFunc(key[:i], func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`*?"$\{}<>`, r) })
	}
	name, _, _ = strings.Cut(name, "/")
	return keyWord(vendor) && keyWord(name)
}

func keyWord(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		default:
			return false
		}
	}
	return s != ""
}
