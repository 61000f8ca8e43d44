package transaction

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Error is what is wrong with a document, for the client to read.
type Error struct {
	// Operation that it is about; below 0: the document.
	Operation int
	Message   string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Operation < 0 {
		return "transaction: " + e.Message
	}
	return fmt.Sprintf("transaction: operation %d: %s", e.Operation, e.Message)
}

func malformed(operation int, format string, args ...any) error {
	return &Error{operation, fmt.Sprintf(format, args...)}
}

// Decode reads a document. What it returns as an error is an *Error.
func Decode(text []byte) (*Document, error) {
	switch {
	case len(text) > MaxBytes:
		return nil, malformed(-1, "The document is larger than %d bytes.", MaxBytes)
	case !utf8.Valid(text) || !json.Valid(text):
		return nil, malformed(-1, "The document is not valid JSON in UTF-8.")
	case halfCharacter(text):
		return nil, malformed(-1, "An escape in the document is half a character: a surrogate without the other of its pair.")
	}
	w := &walk{d: json.NewDecoder(bytes.NewReader(text)), operation: -1}
	w.d.UseNumber()
	if err := w.value(0, ""); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	doc := &Document{}
	if err := d.Decode(doc); err != nil {
		return nil, wrongType(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, malformed(-1, "Something follows the document.")
	}
	return doc, doc.check()
}

// halfCharacter tells whether valid JSON has an escaped surrogate that is not of a pair. Go
// would read another character, and so do what was asked of one key to another.
func halfCharacter(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\') // only in strings
		if i < 0 {
			return false
		}
		if text = text[i:]; text[1] != 'u' {
			text = text[2:]
			continue
		}
		c := escaped(text)
		text = text[escapeBytes:]
		if !utf16.IsSurrogate(c) {
			continue
		}
		if utf16.DecodeRune(c, escaped(text)) == utf8.RuneError {
			return true
		}
		text = text[escapeBytes:]
	}
}

const escapeBytes = len(`\u0000`)

// escaped is the escape that text begins with; 0: it begins with none.
func escaped(text []byte) rune {
	if len(text) < escapeBytes || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(text[2:escapeBytes]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}

// wrongType tells what of a document is not of its type, or not where it belongs.
func wrongType(err error) error {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return malformed(-1, "%s cannot be %s %s.", cmp.Or(t.Field, "The document"), article(t.Value), t.Value)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return malformed(-1, "There is no field %s there.", field)
	}
	return malformed(-1, "The document is not of the form of a transaction.")
}

func article(word string) string {
	if strings.HasPrefix(word, "a") || strings.HasPrefix(word, "o") {
		return "an"
	}
	return "a"
}

// walk looks at a document before memory is taken for what is in it.
type walk struct {
	d         *json.Decoder
	operation int // that is being read; below 0: none yet
	parts     int
}

// maxDepth is how deep a document is nested: operations, one, put, parts, a part.
const maxDepth = 6

// value reads one value; name is that of the field it is in.
func (w *walk) value(depth int, name string) error {
	t, err := w.d.Token()
	switch {
	case err != nil:
		return malformed(w.operation, "The document is not valid JSON in UTF-8.")
	case t == nil:
		return malformed(w.operation, "null is no value.")
	case depth > maxDepth:
		return malformed(w.operation, "The document is nested too deep.")
	}
	switch t {
	case json.Delim('{'):
		return w.object(depth, name)
	case json.Delim('['):
		return w.list(depth, name)
	}
	if v, ok := t.(string); ok {
		return w.text(v, name)
	}
	return nil
}

// text looks at a string. An empty one is not taken for none: who computed it may have meant
// something. What a header could not have, or what would be another value
// once it is trimmed, is refused: whoever judges it must see what whoever does it sees.
func (w *walk) text(v, name string) error {
	switch name {
	case "key": // any is one, with what white space it has
		return nil
	case "metadata", "tagging":
		return nil
	}
	if v == "" {
		return malformed(w.operation, "The field %q is empty. Leave it out.", shown(name))
	}
	if strings.TrimSpace(v) != v || strings.ContainsFunc(v, unicode.IsControl) {
		return malformed(w.operation, "The field %q begins or ends with white space, or has a control character.", shown(name))
	}
	return nil
}

func (w *walk) object(depth int, name string) error {
	seen := make(map[string]bool)
	for w.d.More() {
		t, err := w.d.Token()
		field, ok := t.(string)
		if err != nil || !ok {
			return malformed(w.operation, "The document is not valid JSON in UTF-8.")
		}
		if name != "metadata" && !names()[field] {
			return malformed(w.operation, "There is no field %q.", shown(field))
		}
		folded := strings.ToLower(field)
		if seen[folded] {
			return malformed(w.operation, "The field %q stands twice.", shown(field))
		}
		seen[folded] = true
		if name == "metadata" {
			field = name // what it has bears names of the client's
		}
		if err := w.value(depth+1, field); err != nil {
			return err
		}
	}
	_, err := w.d.Token()
	return err
}

func (w *walk) list(depth int, name string) error {
	for n := 0; w.d.More(); n++ {
		switch name {
		case "operations":
			if w.operation = n; n == MaxOperations {
				return malformed(-1, "There are more than %d operations.", MaxOperations)
			}
		case "parts":
			if w.parts++; w.parts > MaxParts {
				return malformed(w.operation, "There are more than %d parts in all operations together.", MaxParts)
			}
		default:
			return malformed(w.operation, "The field %q is no list.", shown(name))
		}
		if err := w.value(depth+1, ""); err != nil {
			return err
		}
	}
	_, err := w.d.Token()
	return err
}

// shown is a name as an error repeats it.
func shown(name string) string {
	if len(name) > 64 {
		return strings.ToValidUTF8(name[:64], "") + "…"
	}
	return name
}

// names are those of all fields, exactly as they are written.
var names = sync.OnceValue(func() map[string]bool {
	out := make(map[string]bool)
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice:
			add(t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				f := t.Field(i)
				if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
					out[name] = true
				}
				add(f.Type)
			}
		}
	}
	add(reflect.TypeFor[Document]())
	return out
})

// check judges what types do not say.
func (d *Document) check() error {
	if len(d.Operations) == 0 {
		return malformed(-1, "There is no operation.")
	}
	seen := make(map[string]bool, len(d.Operations))
	for i := range d.Operations {
		o := &d.Operations[i]
		kinds := 0
		for _, there := range [...]bool{o.Put != nil, o.Copy != nil, o.Delete != nil} {
			if there {
				kinds++
			}
		}
		switch {
		case kinds != 1:
			return malformed(i, "It must be one put, one copy or one delete.")
		case o.Key() == "":
			return malformed(i, "It has no key.")
		case seen[o.Key()]:
			return malformed(i, "An operation before it has the same key.")
		case o.Put != nil && (o.Put.UploadID == "" || len(o.Put.Parts) == 0):
			return malformed(i, "A put needs an uploadId and parts.")
		case o.Copy != nil && (o.Copy.Source.Bucket == "" || o.Copy.Source.Key == ""):
			return malformed(i, "A copy needs a source with bucket and key.")
		case o.Copy != nil && !validNames(o.Copy.Metadata):
			return malformed(i, "A name of metadata cannot be part of a header's.")
		case negative(o):
			return malformed(i, "A size is not negative.")
		}
		seen[o.Key()] = true
	}
	return nil
}

// validNames tells whether metadata can be headers (RFC 9110, section 5.6.2).
func validNames(metadata map[string]string) bool {
	for name := range metadata {
		if name == "" || strings.ContainsFunc(name, func(c rune) bool {
			return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
		}) {
			return false
		}
	}
	return true
}

func negative(o *Operation) bool {
	return o.Put != nil && o.Put.Size != nil && *o.Put.Size < 0 || o.Delete != nil && o.Delete.IfMatchSize != nil && *o.Delete.IfMatchSize < 0
}
