package policy

import (
	"errors"
	"strings"
)

// quantifier says how many of a key's values have to fit.
type quantifier uint8

const (
	single    quantifier = iota // the one value
	allValues                   // each; none at all is well
	anyValue                    // one at least
)

// condition is one operator on one key.
type condition struct {
	quantifier quantifier
	ifExists   bool   // holds also where the key is missing
	null       bool   // asks whether the key is missing, and for nothing else
	missing    bool   // of null: it shall be
	key        string // in lower case
	operator   operator
	name       string   // the operator's bare name
	texts      []string // the policy's values as written
	tests      []test   // one for each
}

var errOperator = errors.New("no such operator")

// parseCondition reads one operator with its prefix and suffix, and one key.
func parseCondition(name, key string, texts []string, variables bool) (*condition, error) {
	c := &condition{key: strings.ToLower(key), texts: texts}
	if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		c.quantifier, name = allValues, rest
	} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		c.quantifier, name = anyValue, rest
	}
	if name == "Null" && c.quantifier == single {
		return c.parseNull(texts)
	}
	c.name, c.ifExists = strings.CutSuffix(name, "IfExists")
	var ok bool
	if c.operator, ok = operatorNamed(c.name); !ok {
		return nil, errOperator
	}
	for _, text := range texts {
		t, err := c.operator.compile(text, variables)
		if err != nil {
			return nil, err
		}
		c.tests = append(c.tests, t)
	}
	return c, nil
}

func (c *condition) parseNull(texts []string) (*condition, error) {
	c.null, c.name = true, "Null"
	if len(texts) != 1 || !strings.EqualFold(texts[0], "true") && !strings.EqualFold(texts[0], "false") {
		return nil, errors.New("neither true nor false")
	}
	c.missing = strings.EqualFold(texts[0], "true")
	return c, nil
}

// holds reports whether the request keeps the condition. A missing key fits no value:
// so operators that are not negated fail, and negated ones hold.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html
func (c *condition) holds(context *Context) bool {
	values := context.values(c.key)
	switch {
	case c.null:
		return c.missing == (len(values) == 0)
	case len(values) == 0 && c.ifExists:
		return true
	}
	switch c.quantifier {
	case allValues:
		for _, v := range values {
			if c.fits(context, v) == c.operator.negated {
				return false
			}
		}
		return true
	case anyValue:
		for _, v := range values {
			if c.fits(context, v) != c.operator.negated {
				return true
			}
		}
		return false
	}
	for _, v := range values {
		if c.fits(context, v) {
			return !c.operator.negated
		}
	}
	return c.operator.negated
}

// fits reports whether a value is one of the policy's.
func (c *condition) fits(context *Context, value string) bool {
	for _, t := range c.tests {
		if t(context, value) {
			return true
		}
	}
	return false
}
