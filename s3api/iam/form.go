package iam

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"ironman/s3api/policy"
	"ironman/wal/event"
)

// form reads the parameters of a call. The first that is wrong stays as err.
type form struct {
	values  url.Values
	service string
	err     error
}

func (f *form) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// text is a parameter; "": it is not there.
func (f *form) text(name string) string {
	s := f.values.Get(name)
	if !utf8.ValidString(s) {
		f.fail(invalid("The value of %s is not valid UTF-8.", name))
	}
	return s
}

// need is a parameter that must be there.
func (f *form) need(name string) string {
	s := f.text(name)
	if s == "" {
		f.fail(invalid("The parameter %s is missing or empty.", name))
	}
	return s
}

// name is the name of an entity, of at most longest characters.
func (f *form) name(parameter string, longest int) string {
	s := f.need(parameter)
	f.checkName(parameter, s, longest)
	return s
}

func (f *form) checkName(parameter, s string, longest int) {
	if len(s) > longest {
		f.fail(invalid("The value of %s must have length less than or equal to %d", parameter, longest))
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '=' || r == ',' || r == '.' || r == '@' || r == '_' || r == '-') {
			f.fail(invalid("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", parameter))
		}
	}
}

// path is a path; without one, the given.
func (f *form) path(parameter, without string) string {
	s := f.text(parameter)
	if s == "" {
		return without
	}
	ok := s[0] == '/' && s[len(s)-1] == '/' && len(s) <= 512
	for i := range len(s) {
		ok = ok && s[i] > ' ' && s[i] < 0x7f
	}
	if !ok {
		f.fail(invalid("The specified value for %s is invalid. It must begin and end with / and contain only printable characters.", parameter))
	}
	return s
}

// number is a whole number; without one, the given.
func (f *form) number(name string, without, least, most int) int {
	s := f.text(name)
	if s == "" {
		return without
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		f.fail(invalid("The value of %s must be a number from %d to %d.", name, least, most))
		return without
	}
	return n
}

// flag is true or false; without one, false.
func (f *form) flag(name string) bool {
	s := f.text(name)
	b, err := strconv.ParseBool(s)
	if err != nil && s != "" {
		f.fail(invalid("The value of %s must be true or false.", name))
	}
	return b
}

// maxList bounds a list in a form.
const maxList = 1000

// list are the values of name.member.1 and so on; suffix follows the number.
func (f *form) list(name, suffix string) []string {
	var out []string
	for i := 1; i <= maxList; i++ {
		k := name + ".member." + strconv.Itoa(i) + suffix
		if !f.values.Has(k) {
			break
		}
		out = append(out, f.text(k))
	}
	return out
}

// has reports whether a parameter's name begins so.
func (f *form) has(prefix string) bool {
	for name := range f.values {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// maxTags of a principal or policy.
const maxTags = 50

// tags are the tags of a call; nil: it has none.
func (f *form) tags() *event.Tags {
	keys := f.list("Tags", ".Key")
	if len(keys) == 0 {
		return nil
	}
	t := &event.Tags{}
	for i, k := range keys {
		value := f.text("Tags.member." + strconv.Itoa(i+1) + ".Value")
		if k == "" || utf8.RuneCountInString(k) > 128 || utf8.RuneCountInString(value) > 256 || strings.HasPrefix(tagKey(k), "aws:") {
			f.fail(invalid("A tag's key must have 1 to 128 characters and not begin with aws:, its value at most 256."))
		}
		put(t, k, value)
	}
	if len(t.Tags) != len(keys) {
		code := "InvalidInput"
		if f.service == ServiceSTS {
			code = "InvalidParameterValue"
		}
		f.fail(Refuse(code, "Duplicate tag keys found. Please note that Tag keys are case insensitive."))
	}
	if len(keys) > maxTags {
		f.fail(Refuse("InvalidInput", "There may be at most %d tags.", maxTags))
	}
	return t
}

// tagKey is what tags are told apart by, as conditions do it: the key without regard to
// case.
func tagKey(k string) string { return strings.ToLower(k) }

// document is the text of a policy, which must be one of its kind.
func (f *form) document(name string, k policy.Kind) []byte {
	text := []byte(f.need(name))
	if f.err != nil {
		return nil
	}
	if _, err := policy.Parse(text, k); err != nil {
		f.fail(malformed(err))
	}
	return text
}

// window is the page that a call asks for.
type window struct {
	after string
	max   int
}

// window reads MaxItems and Marker.
func (f *form) window() window {
	w := window{max: f.number("MaxItems", 100, 1, 1000)}
	if m := f.text("Marker"); m != "" {
		b, err := base64.RawURLEncoding.DecodeString(m)
		if err != nil || len(b) == 0 {
			f.fail(invalid("The marker is invalid."))
		}
		w.after = string(b)
	}
	return w
}

// page is the end of a list whose last entry is last.
func pageOf(more bool, last string) page {
	if !more {
		return page{}
	}
	return page{IsTruncated: true, Marker: base64.RawURLEncoding.EncodeToString([]byte(last))}
}
