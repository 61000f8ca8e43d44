package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Public reports whether the policy is public as Amazon means it: a statement allows
// something to everybody, and no condition narrows that to fixed values of a key
// that says who somebody is or where they are.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
func (p *Policy) Public() bool {
	return slices.ContainsFunc(p.statements, func(s *statement) bool {
		return s.allow && s.principals != nil && s.principals.everybody && !slices.ContainsFunc(s.conditions, (*condition).narrows)
	})
}

// narrows reports whether only whom the policy's author knows can keep a condition.
func (c *condition) narrows() bool {
	if c.operator.negated || c.null || c.ifExists || c.quantifier == allValues {
		return false
	}
	text := slices.Contains([]string{"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"}, c.name)
	switch c.key {
	case "aws:sourceip":
		return c.name == "IpAddress" && !slices.ContainsFunc(c.texts, broad)
	case "aws:sourcearn", "aws:principalarn", "s3:dataaccesspointarn":
		return text && !slices.ContainsFunc(c.texts, c.looseARN)
	case "aws:userid":
		return text && !slices.ContainsFunc(c.texts, func(s string) bool { return c.loose(strings.TrimSuffix(s, ":*")) || s == ":*" })
	case "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount", "aws:principalaccount", "aws:principalorgid",
		"aws:principalorgpaths", "s3:dataaccesspointaccount", "s3:x-amz-server-side-encryption-aws-kms-key-id":
		return text && !slices.ContainsFunc(c.texts, c.loose)
	}
	return false
}

// loose reports whether a value is not fixed. Where an operator takes no wildcards,
// they are refused all the same: Amazon does not look at the operator.
func (c *condition) loose(text string) bool {
	return text == "" || strings.ContainsAny(text, "*?") || strings.Contains(text, "${")
}

// looseARN: an ARN's account is what has to be fixed; for buckets and the like, which
// have none, all of it.
func (c *condition) looseARN(text string) bool {
	parts := strings.SplitN(text, ":", arnSegments)
	if len(parts) < arnSegments || strings.Contains(text, "${") {
		return true
	}
	if parts[4] == "" {
		return c.loose(text)
	}
	return c.loose(parts[4])
}

// broad reports whether so many share a range of addresses that it is as good as all.
func broad(text string) bool {
	p, err := parsePrefix(text)
	if err != nil || p.Addr().IsPrivate() && p.Bits() >= privateBits(p.Addr()) {
		return err != nil
	}
	if p.Addr().Is4() {
		return p.Bits() < 8
	}
	return p.Bits() < 32
}

// privateBits is how long a prefix of private addresses must be to hold no others.
func privateBits(a netip.Addr) int {
	switch {
	case a.Is6():
		return 7
	case a.As4()[0] == 10:
		return 8
	case a.As4()[0] == 172:
		return 12
	}
	return 16
}
