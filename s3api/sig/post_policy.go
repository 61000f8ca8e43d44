package sig

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// PostPolicy is the policy document of an upload form.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
type PostPolicy struct {
	// Expires is when forms with this policy are refused.
	Expires time.Time
	// Least and Most bound the length of the file in bytes; without a condition they are
	// 0 and math.MaxInt64.
	Least, Most int64

	conditions []postCondition
}

// postCondition is one condition on one field.
type postCondition struct {
	prefix bool   // starts-with, else eq
	field  string // lower case
	value  string
}

// Check refuses a form that does not obey the policy at a moment: every condition must
// hold, and every field be in one, but for those that carry the policy, its signature
// and checksums of the file. The field bucket stands for the bucket of the request,
// whatever the form says, so that a policy is good for one bucket alone.
func (p *PostPolicy) Check(f Fields, bucket string, now time.Time) error {
	if !now.Before(p.Expires) {
		return errPolicy("Policy expired.")
	}
	if said, ok := f["bucket"]; ok && said != bucket {
		return errPolicy(`Policy Condition failed: ["eq", "$bucket", ` + strconv.Quote(bucket) + `]`)
	}
	covered := make(map[string]bool, len(p.conditions))
	for _, c := range p.conditions {
		value := f[c.field]
		if c.field == "bucket" {
			value = bucket
		}
		if !c.holds(value) {
			return errPolicy("Policy Condition failed: " + c.String())
		}
		covered[c.field] = true
	}
	var extra []string
	for name := range f {
		if !covered[name] && !freePostField(name) && name != "bucket" {
			extra = append(extra, name)
		}
	}
	if !covered["bucket"] {
		extra = append(extra, "bucket")
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		return errPolicy("Extra input fields: " + strings.Join(extra, ", "))
	}
	return nil
}

// freePostField reports whether a field needs no condition. A checksum binds the file
// more tightly than any condition could.
func freePostField(name string) bool {
	switch name {
	case fieldPolicy, fieldAccessKeyV2, fieldSignatureV2, fieldSignature:
		return true
	}
	return strings.HasPrefix(name, "x-ignore-") || isChecksumHeader(name)
}

// holds judges a value. The list that a Content-Type may be begins with the prefix in
// each of its parts.
func (c postCondition) holds(value string) bool {
	if !c.prefix {
		return value == c.value
	}
	if c.field != "content-type" {
		return strings.HasPrefix(value, c.value)
	}
	for part := range strings.SplitSeq(value, ",") {
		if !strings.HasPrefix(strings.TrimLeft(part, " "), c.value) {
			return false
		}
	}
	return true
}

// String is the condition as errors show it. What a field of a key must be is a secret.
func (c postCondition) String() string {
	operator, value := "eq", c.value
	if c.prefix {
		operator = "starts-with"
	}
	if strings.HasSuffix(c.field, "-customer-key") {
		value = redacted
	}
	return fmt.Sprintf("[%q, %q, %q]", operator, "$"+c.field, value)
}

func errPolicy(message string) *Error {
	return refuse(CodeAccessDenied, "Invalid according to Policy: "+message)
}

func errPolicyDocument(message string) *Error {
	return refuse(CodeInvalidPolicyDocument, "Invalid Policy: "+message)
}

// decodePostPolicy reads the field policy.
func decodePostPolicy(field string) (*PostPolicy, error) {
	b, err := base64.StdEncoding.DecodeString(field)
	if err != nil {
		return nil, errPolicyDocument("Invalid Base64 Encoding.")
	}
	return ParsePostPolicy(b)
}

// ParsePostPolicy reads a policy document. Names at the top are matched exactly, those
// of fields and operators in any case of letters.
func ParsePostPolicy(document []byte) (*PostPolicy, error) {
	if !utf8.Valid(document) {
		return nil, errPolicyDocument("Invalid JSON.")
	}
	top, ok := parsePolicyJSON(document).(map[string]any)
	if !ok {
		return nil, errPolicyDocument("Invalid JSON.")
	}
	for _, name := range slices.Sorted(maps.Keys(top)) {
		if name != "expiration" && name != "conditions" {
			return nil, errPolicyDocument("Unexpected: '" + name + "'")
		}
	}
	p := &PostPolicy{Most: math.MaxInt64}
	text, ok := top["expiration"].(string)
	if !ok {
		return nil, errPolicyDocument("Policy missing expiration.")
	}
	if p.Expires, ok = parseExpiration(text); !ok {
		return nil, errPolicyDocument("Invalid 'expiration' value: '" + text + "'")
	}
	list, ok := top["conditions"].([]any)
	if !ok {
		return nil, errPolicyDocument("Policy missing conditions.")
	}
	for _, c := range list {
		if err := p.add(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// parseExpiration reads an ISO 8601 moment in UTC, with or without fractions.
func parseExpiration(s string) (time.Time, bool) {
	if strings.ContainsRune(s, ',') { // which time.Parse takes for a decimal point
		return time.Time{}, false
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	return t.UTC(), err == nil
}

// add takes one condition: {"field": "value"} or [operator, ...].
func (p *PostPolicy) add(v any) error {
	switch c := v.(type) {
	case map[string]any:
		if len(c) != 1 {
			return errPolicyDocument("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
		}
		for field, value := range c {
			text, ok := value.(string)
			if !ok || field == "" {
				return errPolicyDocument("Invalid Simple-Condition: value must be a string.")
			}
			p.conditions = append(p.conditions, postCondition{field: strings.ToLower(field), value: text})
		}
		return nil
	case []any:
		return p.addOperation(c)
	}
	return errPolicyDocument("Invalid Condition: must be an array or an object.")
}

// addOperation takes [operator, $field, value] or [content-length-range, least, most].
func (p *PostPolicy) addOperation(c []any) error {
	if len(c) != 3 {
		return errPolicyDocument("Invalid Condition: wrong number of arguments.")
	}
	operator, _ := c[0].(string)
	operator = strings.ToLower(operator)
	switch operator {
	case "content-length-range":
		least, ok := postLength(c[1])
		most, ok2 := postLength(c[2])
		if !ok || !ok2 {
			return errPolicyDocument("Invalid content-length-range: the bounds must be numbers of bytes.")
		}
		p.Least, p.Most = max(p.Least, least), min(p.Most, most)
		return nil
	case "eq", "starts-with":
		name, ok := c[1].(string)
		value, ok2 := c[2].(string)
		field, dollar := strings.CutPrefix(name, "$")
		if !ok || !ok2 || !dollar || field == "" {
			return errPolicyDocument("Invalid Condition: a field, as $name, and a string are expected.")
		}
		p.conditions = append(p.conditions, postCondition{prefix: operator == "starts-with", field: strings.ToLower(field), value: value})
		return nil
	}
	return errPolicyDocument("Invalid Condition: unknown operation '" + operator + "'.")
}

// postLength reads a bound, which some clients write as a string.
func postLength(v any) (int64, bool) {
	var text string
	switch n := v.(type) {
	case policyNumber:
		text = string(n)
	case string:
		text = n
	}
	if text == "" || len(text) > 18 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
