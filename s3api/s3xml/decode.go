package s3xml

import (
	"encoding"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// Decode reads a request document of at most limit bytes into v, a pointer to one
// of this package's request types (or to any struct with the same tags). It
// returns ErrEmpty for an empty body, an *Error for one that is refused, and the
// reader's own error as it came. v is undefined after an error.
//
// Tags are encoding/xml's: the field XMLName names the root; an embedded struct
// contributes its fields; `s3:"required"` marks an element that must be there. A
// type with a method Validate() error has the last word.
func Decode(r io.Reader, limit int64, v any) error {
	var b strings.Builder
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return tooLong()
	case n == 0:
		return ErrEmpty
	}
	sc, err := newScanner(b.String())
	if err != nil {
		return err
	}
	d := decoder{scanner: sc, plans: make(map[reflect.Type]*plan)}
	if err := d.document(reflect.ValueOf(v).Elem()); err != nil {
		return err
	}
	if check, ok := v.(interface{ Validate() error }); ok {
		return check.Validate()
	}
	return nil
}

// plan is what a struct type says of its element.
type plan struct {
	root   string
	fields []field
}

type field struct {
	name     string
	index    []int
	attr     bool
	repeated bool
	required bool
}

type decoder struct {
	*scanner
	plans map[reflect.Type]*plan
}

// document decodes the root element and sees that nothing follows it.
func (d *decoder) document(v reflect.Value) error {
	tok, err := d.skipSpace()
	if err != nil {
		return err
	}
	if tok.kind != tokenStart || tok.name != d.plan(v.Type()).root {
		return d.bad("unexpected root element")
	}
	if err := d.element(v, tok); err != nil {
		return err
	}
	_, err = d.skipSpace() // whatever is not white space is refused by the scanner
	return err
}

// skipSpace gives the next token that is no white space; other text is malformed.
func (d *decoder) skipSpace() (token, error) {
	for {
		tok, err := d.next()
		if err != nil || tok.kind != tokenText {
			return tok, err
		}
		if !allSpace(tok.text) {
			return tok, d.bad("text between elements")
		}
	}
}

// element decodes the element that start began into v, up to its end.
func (d *decoder) element(v reflect.Value, start token) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if _, scalar := v.Addr().Interface().(encoding.TextUnmarshaler); scalar || v.Kind() != reflect.Struct {
		if len(start.attrs) > 0 {
			return d.bad("unknown attribute")
		}
		return d.scalar(v)
	}
	p := d.plan(v.Type())
	seen, err := d.setAttrs(v, p, start.attrs)
	if err != nil {
		return err
	}
	for {
		tok, err := d.skipSpace()
		if err != nil {
			return err
		}
		if tok.kind == tokenEnd {
			return d.complete(p, seen)
		}
		i := p.find(tok.name, false)
		if i < 0 {
			return d.bad("unknown element " + strconv.Quote(tok.name))
		}
		f := &p.fields[i]
		to := v.FieldByIndex(f.index)
		if f.repeated {
			to.Grow(1)
			to.SetLen(to.Len() + 1)
			to = to.Index(to.Len() - 1)
			to.SetZero()
		} else if seen&(1<<i) != 0 {
			return d.bad("element repeated")
		}
		seen |= 1 << i
		if err := d.element(to, tok); err != nil {
			return err
		}
	}
}

func (d *decoder) setAttrs(v reflect.Value, p *plan, attrs []attr) (seen uint64, err error) {
	for _, a := range attrs {
		i := p.find(a.name, true)
		if i < 0 {
			if a.name == "schemaLocation" || a.name == "noNamespaceSchemaLocation" {
				continue
			}
			return 0, d.bad("unknown attribute")
		}
		seen |= 1 << i
		v.FieldByIndex(p.fields[i].index).SetString(a.value)
	}
	return seen, nil
}

func (d *decoder) complete(p *plan, seen uint64) error {
	for i := range p.fields {
		if p.fields[i].required && seen&(1<<i) == 0 {
			return d.bad("missing element " + p.fields[i].name)
		}
	}
	return nil
}

// scalar decodes text up to the end of its element.
func (d *decoder) scalar(v reflect.Value) error {
	var text string
	for {
		tok, err := d.next()
		switch {
		case err != nil:
			return err
		case tok.kind == tokenText && text == "":
			text = tok.text
		case tok.kind == tokenText:
			text += tok.text
		case tok.kind != tokenEnd:
			return d.bad("element in text")
		default:
			return d.set(v, text)
		}
	}
}

func (d *decoder) set(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return d.bad("value")
		}
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		switch strings.TrimSpace(text) {
		case "true", "1", "TRUE": // as some of Amazon's examples have it
			v.SetBool(true)
			return nil
		case "false", "0", "FALSE":
			v.SetBool(false)
			return nil
		}
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, v.Type().Bits())
		if err == nil {
			v.SetInt(n)
			return nil
		}
	}
	return d.bad("value")
}

// plan reads the tags of t, once per document.
func (d *decoder) plan(t reflect.Type) *plan {
	if p, ok := d.plans[t]; ok {
		return p
	}
	p := &plan{}
	for _, sf := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(sf.Tag.Get("xml"), ",")
		if _, local, spaced := strings.Cut(name, " "); spaced {
			name = local
		}
		switch {
		case sf.Name == "XMLName":
			p.root = name
		case sf.Anonymous || !sf.IsExported() || name == "-":
		default:
			if name == "" {
				name = sf.Name
			}
			p.fields = append(p.fields, field{
				name:     name,
				index:    sf.Index,
				attr:     options == "attr",
				repeated: sf.Type.Kind() == reflect.Slice,
				required: sf.Tag.Get("s3") == "required",
			})
		}
	}
	d.plans[t] = p
	return p
}

// find gives the index of a field; -1 if there is none.
func (p *plan) find(name string, attr bool) int {
	for i := range p.fields {
		if p.fields[i].name == name && p.fields[i].attr == attr {
			return i
		}
	}
	return -1
}
