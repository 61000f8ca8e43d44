package policy

import (
	"encoding/base64"
	"errors"
	"math/big"
	"net/netip"
	"strings"
	"time"
)

// test says whether a value of the request fits one value of the policy.
type test func(c *Context, value string) bool

// operator is a comparison. A negated one holds where no value of the policy fits.
type operator struct {
	negated bool
	compile func(text string, variables bool) (test, error)
}

// operatorNamed finds an operator by its bare name; ok is false for no such one. Null
// is none: it asks for a key, not for its values.
func operatorNamed(name string) (o operator, ok bool) {
	name, o.negated = positive(name)
	switch name {
	case "StringEquals":
		o.compile = equalText(func(a, b string) bool { return a == b })
	case "StringEqualsIgnoreCase":
		o.compile = equalText(strings.EqualFold)
	case "StringLike":
		o.compile = likeText
	case "ArnEquals", "ArnLike": // the same, Amazon says
		o.compile = likeARN
	case "NumericEquals":
		o.compile = numeric(func(order int) bool { return order == 0 })
	case "NumericLessThan":
		o.compile = numeric(func(order int) bool { return order < 0 })
	case "NumericLessThanEquals":
		o.compile = numeric(func(order int) bool { return order <= 0 })
	case "NumericGreaterThan":
		o.compile = numeric(func(order int) bool { return order > 0 })
	case "NumericGreaterThanEquals":
		o.compile = numeric(func(order int) bool { return order >= 0 })
	case "DateEquals":
		o.compile = date(func(order int) bool { return order == 0 })
	case "DateLessThan":
		o.compile = date(func(order int) bool { return order < 0 })
	case "DateLessThanEquals":
		o.compile = date(func(order int) bool { return order <= 0 })
	case "DateGreaterThan":
		o.compile = date(func(order int) bool { return order > 0 })
	case "DateGreaterThanEquals":
		o.compile = date(func(order int) bool { return order >= 0 })
	case "Bool":
		o.compile = boolean
	case "BinaryEquals":
		o.compile = binary
	case "IpAddress":
		o.compile = address
	default:
		return o, false
	}
	return o, true
}

// positive gives the operator that a negated one is the opposite of.
func positive(name string) (plain string, negated bool) {
	switch name {
	case "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike",
		"NumericNotEquals", "DateNotEquals", "NotIpAddress":
		return strings.Replace(name, "Not", "", 1), true
	}
	return name, false
}

func equalText(equal func(a, b string) bool) func(string, bool) (test, error) {
	return func(text string, variables bool) (test, error) {
		p, err := compile(text, syntax{variables: variables})
		return func(c *Context, value string) bool {
			p, ok := p.bind(c)
			return ok && equal(p.text(), value)
		}, err
	}
}

func likeText(text string, variables bool) (test, error) {
	p, err := compile(text, syntax{wildcards: true, variables: variables})
	return func(c *Context, value string) bool {
		p, ok := p.bind(c)
		return ok && p.match(value)
	}, err
}

func likeARN(text string, variables bool) (test, error) {
	a, err := compileARN(text, syntax{wildcards: true, variables: variables})
	return func(c *Context, value string) bool { return a.match(c, value) }, err
}

func numeric(holds func(order int) bool) func(string, bool) (test, error) {
	return func(text string, _ bool) (test, error) {
		want, ok := parseNumber(text)
		if !ok {
			return nil, errors.New("not a number")
		}
		return func(_ *Context, value string) bool {
			n, ok := parseNumber(value)
			return ok && holds(n.Cmp(want))
		}, nil
	}
}

// maxDigits bounds what a comparison of numbers can cost.
const maxDigits = 40

// parseNumber reads a decimal number, exactly.
func parseNumber(text string) (*big.Rat, bool) {
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if digits == "" || len(digits) > maxDigits || strings.Trim(digits, "0123456789.") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

func date(holds func(order int) bool) func(string, bool) (test, error) {
	return func(text string, _ bool) (test, error) {
		want, ok := parseDate(text)
		if !ok {
			return nil, errors.New("not a date")
		}
		return func(_ *Context, value string) bool {
			t, ok := parseDate(value)
			return ok && holds(t.Compare(want))
		}, nil
	}
}

// parseDate reads the forms of ISO 8601 that W3C's profile has, or seconds since 1970.
func parseDate(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	n, ok := parseNumber(text)
	if !ok || !n.IsInt() || !n.Num().IsInt64() {
		return time.Time{}, false
	}
	return time.Unix(n.Num().Int64(), 0), true
}

func boolean(text string, _ bool) (test, error) {
	want := strings.ToLower(text)
	if want != "true" && want != "false" {
		return nil, errors.New("neither true nor false")
	}
	return func(_ *Context, value string) bool { return strings.EqualFold(value, want) }, nil
}

// binary compares bytes, that both sides write in base64.
func binary(text string, _ bool) (test, error) {
	want, err := base64.StdEncoding.Strict().DecodeString(text)
	return func(_ *Context, value string) bool {
		b, err := base64.StdEncoding.Strict().DecodeString(value)
		return err == nil && string(b) == string(want)
	}, err
}

// address is one, or a range of them in CIDR notation.
func address(text string, _ bool) (test, error) {
	p, err := parsePrefix(text)
	return func(_ *Context, value string) bool {
		a, err := netip.ParseAddr(value)
		return err == nil && p.Contains(a.Unmap().WithZone(""))
	}, err
}

// parsePrefix reads a range; an address is the range of itself. One of IPv4 in the
// clothes of IPv6 is of IPv4.
func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errors.New("not an address")
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, err
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
