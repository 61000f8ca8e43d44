package policy

import (
	"strings"
	"testing"
)

// context makes one of "key=value" words; a key may stand several times.
func context(words ...string) *Context {
	c := new(Context)
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		c.add(key, value)
	}
	return c
}

func TestOperators(t *testing.T) {
	for _, tc := range []struct {
		operator string
		policy   string // values, separated by spaces
		fits     string // values that hold, each alone
		fails    string
	}{
		{"StringEquals", "a b", "a b", "A ab * c"},
		{"StringEquals", "a*", "a*", "ab"},
		{"StringNotEquals", "a b", "A c", "a b"},
		{"StringEqualsIgnoreCase", "aB", "ab AB", "a abc"},
		{"StringNotEqualsIgnoreCase", "aB", "a abc", "ab AB"},
		{"StringLike", "a*c x?", "ac abc xy", "x xyz ab"},
		{"StringNotLike", "a*c x?", "x xyz ab", "ac abc xy"},
		{"NumericEquals", "10 -3", "10 10.0 -3 010", "11 1e1 0x0a ten"},
		{"NumericNotEquals", "10", "11 ten", "10 10.0"},
		{"NumericLessThan", "10", "9 9.99999999999999999999 -11", "10 11 x"},
		{"NumericLessThanEquals", "10", "9 10", "10.00000000000000000001 11"},
		{"NumericGreaterThan", "9007199254740992", "9007199254740993", "9007199254740992"},
		{"NumericGreaterThanEquals", "10", "10 11", "9"},
		{"DateEquals", "2020-01-01T00:00:00Z", "2020-01-01T01:00:00+01:00 1577836800 2020-01-01 2020", "2020-01-02 x"},
		{"DateNotEquals", "2020-01-01T00:00:00Z", "2020-01-02 x", "1577836800"},
		{"DateLessThan", "2020-01-01T00:00:00Z", "2019-12-31T23:59:59.999Z", "2020-01-01"},
		{"DateLessThanEquals", "1577836800", "2020-01-01", "2020-01-01T00:00:01Z"},
		{"DateGreaterThan", "2020-01-01", "2020-01-01T00:00:00.001Z", "2020-01-01 x"},
		{"DateGreaterThanEquals", "2020-01-01", "2020-01-01 2021", "2019"},
		{"Bool", "true", "true TRUE", "false x"},
		{"Bool", "False", "false", "true"},
		{"BinaryEquals", "QmluYXJ5", "QmluYXJ5", "qmluYXJ5 Binary ="},
		{"IpAddress", "203.0.113.0/24 2001:db8::/32 10.0.0.1", "203.0.113.7 ::ffff:203.0.113.7 2001:db8::1 10.0.0.1", "203.0.114.7 10.0.0.2 2001:db9::1 x ::cb00:7107"},
		{"NotIpAddress", "203.0.113.0/24", "203.0.114.7 2001:db8::1", "203.0.113.7 ::ffff:203.0.113.7"},
		{"IpAddress", "::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"},
		{"ArnEquals", "arn:aws:iam::1:role/a*", "arn:aws:iam::1:role/ab", "arn:aws:iam::11:role/ab x"},
		{"ArnLike", "arn:aws:iam::*:role/a", "arn:aws:iam::1:role/a", "arn:aws:iam::1:x:role/a"},
		{"ArnNotEquals", "arn:aws:iam::1:role/a*", "arn:aws:iam::11:role/ab", "arn:aws:iam::1:role/ab"},
		{"ArnNotLike", "arn:aws:iam::*:role/a", "arn:aws:iam::1:role/b", "arn:aws:iam::1:role/a"},
	} {
		c, err := parseCondition(tc.operator, "aws:K", strings.Fields(tc.policy), true)
		if err != nil {
			t.Errorf("%s %s: %v", tc.operator, tc.policy, err)
			continue
		}
		for _, v := range strings.Fields(tc.fits) {
			if !c.holds(context("AWS:k=" + v)) {
				t.Errorf("%s %s: %q does not hold", tc.operator, tc.policy, v)
			}
		}
		for _, v := range strings.Fields(tc.fails) {
			if c.holds(context("aws:K=" + v)) {
				t.Errorf("%s %s: %q holds", tc.operator, tc.policy, v)
			}
		}
	}
}

// Missing keys and several values, as Amazon's tables have them.
func TestQuantifiers(t *testing.T) {
	for _, tc := range []struct {
		operator, values, words string
		want                    bool
	}{
		{"StringEquals", "a", "", false},
		{"StringNotEquals", "a", "", true},
		{"StringEqualsIfExists", "a", "", true},
		{"StringEqualsIfExists", "a", "aws:k=b", false},
		{"StringNotEqualsIfExists", "a", "", true},
		{"StringNotEqualsIfExists", "a", "aws:k=a", false},
		{"NotIpAddress", "10.0.0.0/8", "", true},
		{"IpAddress", "0.0.0.0/0", "", false},
		{"Bool", "false", "", false},
		{"BoolIfExists", "false", "", true},
		{"Null", "true", "", true},
		{"Null", "true", "aws:k=", false},
		{"Null", "false", "", false},
		{"Null", "false", "aws:k=x", true},

		{"ForAllValues:StringEquals", "a b", "", true}, // S-D6: an empty set keeps it
		{"ForAllValues:StringEquals", "a b", "aws:k=a", true},
		{"ForAllValues:StringEquals", "a b", "aws:k=a aws:k=b", true},
		{"ForAllValues:StringEquals", "a b", "aws:k=a aws:k=c", false},
		{"ForAllValues:StringNotEquals", "a b", "", true},
		{"ForAllValues:StringNotEquals", "a b", "aws:k=c aws:k=d", true},
		{"ForAllValues:StringNotEquals", "a b", "aws:k=c aws:k=a", false},
		{"ForAllValues:StringLikeIfExists", "a*", "", true},

		{"ForAnyValue:StringEquals", "a b", "", false},
		{"ForAnyValue:StringEquals", "a b", "aws:k=c aws:k=b", true},
		{"ForAnyValue:StringEquals", "a b", "aws:k=c", false},
		{"ForAnyValue:StringNotEquals", "a b", "", false},
		{"ForAnyValue:StringNotEquals", "a b", "aws:k=a aws:k=c", true},
		{"ForAnyValue:StringNotEquals", "a b", "aws:k=a aws:k=b", false},
		{"ForAnyValue:StringEqualsIfExists", "a", "", true},

		{"StringEquals", "a", "aws:k=b aws:k=a", true},
		{"StringNotEquals", "a", "aws:k=b aws:k=a", false},
	} {
		c, err := parseCondition(tc.operator, "aws:k", strings.Fields(tc.values), true)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.holds(context(strings.Fields(tc.words)...)); got != tc.want {
			t.Errorf("%s %s on %q: %v", tc.operator, tc.values, tc.words, got)
		}
	}
}

func TestBadConditions(t *testing.T) {
	for _, tc := range [][2]string{
		{"StringEqual", "a"}, {"stringequals", "a"}, {"", "a"}, {"ForAllValues:", "a"}, {"ForAllValues:Null", "true"}, {"NullIfExists", "true"},
		{"ForAnyValue:ForAllValues:StringEquals", "a"}, {"StringEqualsIfExistsIfExists", "a"}, {"NotBool", "true"}, {"StringNot", "a"},
		{"NumericEquals", "ten"}, {"NumericEquals", "1e9"}, {"NumericEquals", "1.2.3"}, {"NumericEquals", strings.Repeat("1", 41)}, {"NumericEquals", "${aws:x}"},
		{"DateEquals", "yesterday"}, {"DateEquals", "1.5"}, {"Bool", "yes"}, {"BinaryEquals", "?"}, {"IpAddress", "10.0.0.0/33"}, {"IpAddress", "host"},
		{"IpAddress", "10.0.0.*"}, {"Null", "x"}, {"StringLike", "${aws:x"},
	} {
		if _, err := parseCondition(tc[0], "aws:k", []string{tc[1]}, true); err == nil {
			t.Errorf("%s %s is taken", tc[0], tc[1])
		}
	}
}
