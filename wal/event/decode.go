package event

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Errors of decoding.
var (
	// ErrNewer says that bytes were written by a newer release: a field, kind or
	// enum value this one does not know. The reader must stop, never skip.
	ErrNewer = errors.New("newer than this release understands")
	// ErrMalformed says that bytes are not what they should be.
	ErrMalformed = errors.New("malformed")
)

// Schema decodes the messages of some protobuf files strictly. Immutable; safe
// for concurrent use.
type Schema struct {
	shapes map[protoreflect.FullName]*shape
}

// NewSchema reads the message types of files.
func NewSchema(files ...protoreflect.FileDescriptor) *Schema {
	s := &Schema{shapes: make(map[protoreflect.FullName]*shape)}
	for _, f := range files {
		for i := range f.Messages().Len() {
			s.shape(f.Messages().Get(i))
		}
	}
	return s
}

// vocabulary is the schema of this package.
var vocabulary = sync.OnceValue(func() *Schema { return NewSchema(File_wal_event_event_proto, File_wal_event_read_proto) })

// Decode unmarshals b into a message of this package strictly: malformed bytes
// are ErrMalformed, an unknown field or enum value anywhere is ErrNewer. Where
// both hold, the bytes are malformed. Nothing of m aliases b.
func Decode(b []byte, m proto.Message) error { return vocabulary().Decode(b, m) }

// Decode unmarshals b into m, a message of one of the schema's files, as the
// function Decode does.
func (s *Schema) Decode(b []byte, m proto.Message) error {
	name := m.ProtoReflect().Descriptor().FullName()
	sh := s.shapes[name]
	if sh == nil {
		return fmt.Errorf("event: %s is not in the schema", name)
	}
	if len(b) > math.MaxInt32 {
		return fmt.Errorf("%w: %s of %d bytes", ErrMalformed, sh.name, len(b))
	}
	unknown := sh.check(b)
	if unknown != nil && !errors.Is(unknown, ErrNewer) {
		return unknown
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, sh.name, err)
	}
	return unknown
}

// shape is a message type as its bytes show it. Protobuf itself reads past what
// it does not know; a shape does not.
type shape struct {
	name   protoreflect.Name
	fields []*field // by number; nil: there is none
}

// field is one field of a shape.
type field struct {
	wire   protowire.Type
	nested *shape          // of a message
	values map[uint64]bool // of an enum
	max    uint64          // of a number
}

// shape returns the shape of a message type, and makes it if it is new.
func (s *Schema) shape(d protoreflect.MessageDescriptor) *shape {
	if sh := s.shapes[d.FullName()]; sh != nil {
		return sh
	}
	sh := &shape{name: d.Name()}
	s.shapes[d.FullName()] = sh
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		n := int(fd.Number())
		if n >= len(sh.fields) {
			sh.fields = append(sh.fields, make([]*field, n+1-len(sh.fields))...)
		}
		sh.fields[n] = s.field(fd)
	}
	return sh
}

func (s *Schema) field(fd protoreflect.FieldDescriptor) *field {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return &field{wire: protowire.BytesType, nested: s.shape(fd.Message())}
	case protoreflect.StringKind, protoreflect.BytesKind:
		return &field{wire: protowire.BytesType}
	case protoreflect.EnumKind:
		f := &field{wire: protowire.VarintType, values: make(map[uint64]bool)}
		for i := range fd.Enum().Values().Len() {
			f.values[uint64(fd.Enum().Values().Get(i).Number())] = true
		}
		return f
	case protoreflect.BoolKind:
		return &field{wire: protowire.VarintType, max: 1}
	case protoreflect.Uint32Kind:
		return &field{wire: protowire.VarintType, max: math.MaxUint32}
	case protoreflect.Uint64Kind, protoreflect.Int64Kind:
		return &field{wire: protowire.VarintType, max: math.MaxUint64}
	}
	// Unreachable: TestSchemaAscends refuses other kinds in the schemas.
	panic(fmt.Sprintf("event: no strict reading of a %s field", fd.Kind()))
}

// check tells what of b is malformed or, where nothing is, unknown.
func (s *shape) check(b []byte) error {
	var newer error
	for len(b) > 0 {
		num, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return s.malformed(protowire.ParseError(n))
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(num, wire, b)
		if n < 0 {
			return s.malformed(protowire.ParseError(n))
		}
		var f *field
		if int(num) < len(s.fields) {
			f = s.fields[num]
		}
		if f == nil || f.wire != wire {
			newer = fmt.Errorf("%w: field %d of %s", ErrNewer, num, s.name)
		} else if err := f.check(b[:n]); errors.Is(err, ErrNewer) {
			newer = err
		} else if err != nil {
			return s.malformed(err)
		}
		b = b[n:]
	}
	return newer
}

// check judges one value, whose bytes are whole.
func (f *field) check(b []byte) error {
	if f.nested != nil {
		nested, _ := protowire.ConsumeBytes(b)
		return f.nested.check(nested)
	}
	if f.wire != protowire.VarintType {
		return nil
	}
	v, _ := protowire.ConsumeVarint(b)
	if f.values != nil {
		if !f.values[v] {
			return fmt.Errorf("%w: enum value %d", ErrNewer, v)
		}
		return nil
	}
	if v > f.max {
		return fmt.Errorf("number %d exceeds %d", v, f.max)
	}
	return nil
}

func (s *shape) malformed(err error) error {
	if errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrMalformed, s.name, err)
}
