package sig

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// policyNumber is a number as it was written.
type policyNumber = json.Number

// maxPolicyDepth bounds the nesting of a policy, which needs three levels.
const maxPolicyDepth = 4

// parsePolicyJSON reads one JSON value of objects, lists, strings and numbers. It
// returns nil for anything else, for names that are repeated, and for a value that is
// followed by another. (json.Unmarshal would take the last of a repeated name, and
// names at the top in any case of letters.)
func parsePolicyJSON(document []byte) any {
	d := json.NewDecoder(bytes.NewReader(plainEscapes(document)))
	d.UseNumber()
	v, err := policyValue(d, maxPolicyDepth)
	if err != nil {
		return nil
	}
	if _, err := d.Token(); err != io.EOF {
		return nil
	}
	return v
}

// plainEscapes writes the two escapes that policies have and JSON has not as JSON
// does: \$ and \v.
func plainEscapes(document []byte) []byte {
	out := make([]byte, 0, len(document))
	for i := 0; i < len(document); i++ {
		c := document[i]
		if c != '\\' || i+1 == len(document) {
			out = append(out, c)
			continue
		}
		i++
		switch document[i] {
		case '$':
			out = append(out, '$')
		case 'v':
			out = append(out, `\u000b`...)
		default:
			out = append(out, c, document[i])
		}
	}
	return out
}

var errPolicyJSON = errors.New("sig: not the JSON of a policy")

// policyValue reads the next value, which may nest as deep as depth.
func policyValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := t.(type) {
	case string, json.Number:
		return v, nil
	case json.Delim:
		if depth > 0 && v == '{' {
			return policyObject(d, depth-1)
		}
		if depth > 0 && v == '[' {
			return policyList(d, depth-1)
		}
	}
	return nil, errPolicyJSON
}

func policyObject(d *json.Decoder, depth int) (any, error) {
	object := make(map[string]any)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if _, repeated := object[name]; repeated || !ok {
			return nil, errPolicyJSON
		}
		if object[name], err = policyValue(d, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

func policyList(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := policyValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}
