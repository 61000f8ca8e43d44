package event

import (
	"errors"
	"fmt"
	"math"
	"slices"

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

// Canonical encodes m as protobuf with fields in ascending order, repeated
// scalars packed, absent and zero fields left out. Equal messages give equal
// bytes in every release, which protobuf's own marshaller does not promise.
// Messages with maps or groups are not supported (the schema has none). Safe for
// concurrent use.
func Canonical(m proto.Message) []byte {
	return appendMessage(nil, m.ProtoReflect())
}

// AppendCanonical appends Canonical(m) to b.
func AppendCanonical(b []byte, m proto.Message) []byte {
	return appendMessage(b, m.ProtoReflect())
}

func appendMessage(b []byte, m protoreflect.Message) []byte {
	fields := m.Descriptor().Fields()
	// The schema declares its fields in ascending order of number except inside
	// a oneof, of which at most one is set; TestSchemaAscends keeps it so.
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		if fd.IsList() {
			b = appendList(b, fd, m.Get(fd).List())
			continue
		}
		b = appendTagged(b, fd, m.Get(fd))
	}
	return b
}

func appendList(b []byte, fd protoreflect.FieldDescriptor, l protoreflect.List) []byte {
	if fd.IsPacked() {
		var packed []byte
		for i := range l.Len() {
			packed = appendScalar(packed, fd, l.Get(i))
		}
		b = protowire.AppendTag(b, fd.Number(), protowire.BytesType)
		return protowire.AppendBytes(b, packed)
	}
	for i := range l.Len() {
		b = appendTagged(b, fd, l.Get(i))
	}
	return b
}

func appendTagged(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch fd.Kind() {
	case protoreflect.StringKind:
		b = protowire.AppendTag(b, fd.Number(), protowire.BytesType)
		return protowire.AppendString(b, v.String())
	case protoreflect.BytesKind:
		b = protowire.AppendTag(b, fd.Number(), protowire.BytesType)
		return protowire.AppendBytes(b, v.Bytes())
	case protoreflect.MessageKind:
		b = protowire.AppendTag(b, fd.Number(), protowire.BytesType)
		return appendNested(b, v.Message())
	default:
		b = protowire.AppendTag(b, fd.Number(), protowire.VarintType)
		return appendScalar(b, fd, v)
	}
}

// appendNested writes a length-prefixed message. Nearly all are shorter than 128
// bytes, so the length is guessed to be one byte and moved if it was not.
func appendNested(b []byte, m protoreflect.Message) []byte {
	start := len(b)
	b = append(b, 0)
	b = appendMessage(b, m)
	n := len(b) - start - 1
	if n < 0x80 {
		b[start] = byte(n)
		return b
	}
	prefix := protowire.AppendVarint(nil, uint64(n))
	return slices.Replace(b, start, start+1, prefix...)
}

func appendScalar(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protowire.AppendVarint(b, protowire.EncodeBool(v.Bool()))
	case protoreflect.EnumKind:
		return protowire.AppendVarint(b, uint64(v.Enum()))
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return protowire.AppendVarint(b, uint64(v.Int()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return protowire.AppendVarint(b, v.Uint())
	default:
		// Unreachable: TestSchemaAscends refuses other kinds in the schema.
		panic(fmt.Sprintf("event: no canonical form of a %s field", fd.Kind()))
	}
}

// Decode unmarshals b into m strictly: malformed bytes are ErrMalformed, an
// unknown field or enum value anywhere is ErrNewer.
func Decode(b []byte, m proto.Message) error {
	if len(b) > math.MaxInt32 {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, m.ProtoReflect().Descriptor().Name(), err)
	}
	return known(m.ProtoReflect())
}

// known refuses unknown fields and enum values at any depth.
func known(m protoreflect.Message) error {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%w: unknown field in %s", ErrNewer, m.Descriptor().Name())
	}
	var err error
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.IsList() {
			if k := fd.Kind(); k == protoreflect.MessageKind || k == protoreflect.EnumKind {
				l := v.List()
				for i := 0; i < l.Len() && err == nil; i++ {
					err = knownValue(fd, l.Get(i))
				}
			}
			return err == nil
		}
		err = knownValue(fd, v)
		return err == nil
	})
	return err
}

func knownValue(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return known(v.Message())
	case protoreflect.EnumKind:
		if fd.Enum().Values().ByNumber(v.Enum()) == nil {
			return fmt.Errorf("%w: %s %d", ErrNewer, fd.Enum().Name(), v.Enum())
		}
	}
	return nil
}
