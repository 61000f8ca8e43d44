package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep a policy may be nested; the grammar needs six.
const maxDepth = 8

// node is a value of JSON. Which of the fields is set says kind.
type node struct {
	kind   json.Delim // '{', '[', or 0: a scalar
	text   string     // of a scalar: the string, or the number or boolean as written
	quoted bool       // a scalar that is a string
	items  []*node
	fields []field // in their order; no two of the same name
}

type field struct {
	name  string
	value *node
}

// parseJSON reads one value, strictly: valid UTF-8, no repeated name, no null, nothing
// behind it.
func parseJSON(text []byte) (*node, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errors.New("not valid JSON")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return readNode(d, 0)
}

func readNode(d *json.Decoder, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		n := &node{kind: t}
		if t == '{' {
			err = n.readFields(d, depth)
		} else {
			err = n.readItems(d, depth)
		}
		return n, err
	case string:
		return &node{text: t, quoted: true}, nil
	case json.Number:
		return &node{text: t.String()}, nil
	case bool:
		return &node{text: fmt.Sprint(t)}, nil
	}
	return nil, errors.New("null is no value of a policy")
}

func (n *node) readFields(d *json.Decoder, depth int) error {
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok || seen[name] {
			return fmt.Errorf("%q stands twice", name)
		}
		seen[name] = true
		value, err := readNode(d, depth+1)
		if err != nil {
			return err
		}
		n.fields = append(n.fields, field{name, value})
	}
	_, err := d.Token() // the end
	return err
}

func (n *node) readItems(d *json.Decoder, depth int) error {
	for d.More() {
		item, err := readNode(d, depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := d.Token()
	return err
}

// isString reports whether n is a string.
func (n *node) isString() bool { return n.kind == 0 && n.quoted }

// list is n's items, or n itself where it is no array: Amazon takes one for many.
func (n *node) list() []*node {
	if n.kind == '[' {
		return n.items
	}
	return []*node{n}
}

// strings gives one string or an array of at least one; false for anything else.
func (n *node) strings() ([]string, bool) {
	items := n.list()
	out := make([]string, 0, len(items))
	for _, item := range items {
		if !item.isString() {
			return nil, false
		}
		out = append(out, item.text)
	}
	return out, len(out) > 0
}
