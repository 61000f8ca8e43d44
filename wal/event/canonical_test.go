package event

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"
)

// encode is an encoder of the canonical form that owes nothing to protobuf's.
func encode(b []byte, m protoreflect.Message) []byte {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case !m.Has(fd):
		case fd.IsList():
			for j := range m.Get(fd).List().Len() {
				b = encodeField(b, fd, m.Get(fd).List().Get(j))
			}
		default:
			b = encodeField(b, fd, m.Get(fd))
		}
	}
	return b
}

func encodeField(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch fd.Kind() {
	case protoreflect.StringKind:
		b = protowire.AppendTag(b, fd.Number(), protowire.BytesType)
		return protowire.AppendString(b, v.String())
	case protoreflect.BytesKind:
		b = protowire.AppendTag(b, fd.Number(), protowire.BytesType)
		return protowire.AppendBytes(b, v.Bytes())
	case protoreflect.MessageKind:
		b = protowire.AppendTag(b, fd.Number(), protowire.BytesType)
		return protowire.AppendBytes(b, encode(nil, v.Message()))
	}
	b = protowire.AppendTag(b, fd.Number(), protowire.VarintType)
	switch x := v.Interface().(type) {
	case bool:
		return protowire.AppendVarint(b, protowire.EncodeBool(x))
	case protoreflect.EnumNumber:
		return protowire.AppendVarint(b, uint64(x))
	case int64:
		return protowire.AppendVarint(b, uint64(x))
	case uint32:
		return protowire.AppendVarint(b, uint64(x))
	case uint64:
		return protowire.AppendVarint(b, x)
	}
	panic(fmt.Sprintf("a %s field", fd.Kind()))
}

// drawMessage draws a message of any type: each field absent, zero or something.
func drawMessage(t *rapid.T, m protoreflect.Message, label string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if rapid.IntRange(0, 2).Draw(t, label) == 0 {
			continue
		}
		if !fd.IsList() {
			m.Set(fd, drawValue(t, fd, m.NewField(fd), label))
			continue
		}
		l := m.Mutable(fd).List()
		for range rapid.IntRange(0, 3).Draw(t, label) {
			l.Append(drawValue(t, fd, l.NewElement(), label))
		}
	}
}

func drawValue(t *rapid.T, fd protoreflect.FieldDescriptor, empty protoreflect.Value, label string) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		drawMessage(t, empty.Message(), label)
		return empty
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.StringN(0, 200, -1).Draw(t, label))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, label))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, label))
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(rapid.IntRange(0, values.Len()-1).Draw(t, label)).Number())
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, label))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, label))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, label))
	}
	panic(fmt.Sprintf("a %s field", fd.Kind()))
}

// TestCanonical holds the encoder to an independent one for messages of every
// type, and the strict decoder to what was encoded.
func TestCanonical(t *testing.T) {
	messages := File_wal_event_event_proto.Messages()
	rapid.Check(t, func(t *rapid.T) {
		d := messages.Get(rapid.IntRange(0, messages.Len()-1).Draw(t, "type"))
		mt, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
		if err != nil {
			t.Fatal(err)
		}
		m := mt.New()
		drawMessage(t, m, string(d.Name()))
		b := Canonical(m.Interface())
		if want := encode(nil, m); !bytes.Equal(b, want) {
			t.Fatalf("%v\n is %x\nnot %x", m, b, want)
		}
		if with := AppendCanonical([]byte("x"), m.Interface()); !bytes.Equal(with[1:], b) || with[0] != 'x' {
			t.Fatalf("appended: %x", with)
		}
		back := mt.New().Interface()
		if err := Decode(b, back); err != nil || !proto.Equal(back, m.Interface()) {
			t.Fatalf("read back: %v, %v", back, err)
		}
	})
}

// TestSchemaAscends keeps the schema to what has one form only: fields declared
// in ascending order of their numbers, no maps, groups, floats or packed numbers.
func TestSchemaAscends(t *testing.T) {
	messages := File_wal_event_event_proto.Messages()
	for i := range messages.Len() {
		d, last := messages.Get(i), protoreflect.FieldNumber(0)
		if d.Messages().Len()+d.Enums().Len()+d.Extensions().Len() > 0 {
			t.Errorf("%s holds declarations of its own", d.Name())
		}
		for j := range d.Fields().Len() {
			fd := d.Fields().Get(j)
			if fd.Number() <= last {
				t.Errorf("%s is not above field %d", fd.FullName(), last)
			}
			last = fd.Number()
			if fd.Number() > 1000 {
				t.Errorf("%s: the strict reader keeps a table of numbers", fd.FullName())
			}
			if fd.IsMap() || fd.IsPacked() || fd.IsExtension() || fd.HasDefault() {
				t.Errorf("%s has more than one form", fd.FullName())
			}
			switch fd.Kind() {
			case protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.Uint32Kind, protoreflect.Uint64Kind,
				protoreflect.Int64Kind, protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
			default:
				t.Errorf("%s is a %s", fd.FullName(), fd.Kind())
			}
		}
	}
	enums := File_wal_event_event_proto.Enums()
	for i := range enums.Len() {
		for j := range enums.Get(i).Values().Len() {
			if n := enums.Get(i).Values().Get(j).Number(); n != protoreflect.EnumNumber(j) {
				t.Errorf("%s: value %d has the number %d", enums.Get(i).Name(), j, n)
			}
		}
	}
}

func TestCanonicalText(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("text that is not UTF-8 was encoded: no strict decoder would read it")
		}
	}()
	if _, err := NewDraft(nil, nil).AddMessage(ItemKind_ITEM_KIND_HEADERS, 0, &Headers{ContentType: "\xff"}).Marshal(); !errors.Is(err, ErrMalformed) {
		t.Errorf("a draft of such text: %v", err)
	}
	Canonical(&Headers{ContentType: "\xff"})
}
