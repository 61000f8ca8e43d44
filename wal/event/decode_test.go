package event

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// spoilt gives b with bytes inserted at the end of each message in it, at every
// depth, with the lengths around it put right.
func spoilt(b []byte, d protoreflect.MessageDescriptor, more []byte) map[string][]byte {
	out := map[string][]byte{string(d.Name()): append(bytes.Clone(b), more...)}
	for at := 0; at < len(b); {
		num, wire, n := protowire.ConsumeTag(b[at:])
		m := protowire.ConsumeFieldValue(num, wire, b[at+n:])
		if fd := d.Fields().ByNumber(num); fd != nil && fd.Kind() == protoreflect.MessageKind {
			inner, _ := protowire.ConsumeBytes(b[at+n:])
			for name, s := range spoilt(inner, fd.Message(), more) {
				whole := append(bytes.Clone(b[:at+n]), protowire.AppendBytes(nil, s)...)
				out[fmt.Sprintf("%s@%d/%s", d.Name(), at, name)] = append(whole, b[at+n+m:]...)
			}
		}
		at += n + m
	}
	return out
}

// TestNewer meets, at every depth of every kind, a field that is not known.
func TestNewer(t *testing.T) {
	unknown := map[string][]byte{
		"varint":  protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1),
		"bytes":   protowire.AppendBytes(protowire.AppendTag(nil, 999, protowire.BytesType), []byte("new")),
		"huge":    protowire.AppendVarint(protowire.AppendTag(nil, protowire.MaxValidNumber, protowire.VarintType), 0),
		"fixed64": protowire.AppendFixed64(protowire.AppendTag(nil, 999, protowire.Fixed64Type), 1),
		"group":   protowire.AppendGroup(protowire.AppendTag(nil, 999, protowire.StartGroupType), 999, nil),
		"retyped": protowire.AppendFixed32(protowire.AppendTag(nil, 1, protowire.Fixed32Type), 1), // a known number
	}
	depths := 0
	for kind, body := range bodies() {
		s := Canonical(&Statement{Header: &Header{RequestId: make([]byte, 16), Reason: &Reason{View: 1}}, Body: body})
		for what, more := range unknown {
			for where, b := range spoilt(s, (&Statement{}).ProtoReflect().Descriptor(), more) {
				depths++
				if err := Decode(b, &Statement{}); !errors.Is(err, ErrNewer) || errors.Is(err, ErrMalformed) {
					t.Errorf("%s: unknown %s in %s: %v", kind, what, where, err)
				}
				// What is malformed as well is malformed: rubbish stops no node.
				if err := Decode(append(b, 0x0a, 0x7f), &Statement{}); !errors.Is(err, ErrMalformed) || errors.Is(err, ErrNewer) {
					t.Errorf("%s: unknown %s in %s and a torn field: %v", kind, what, where, err)
				}
			}
		}
	}
	if depths < 1000 {
		t.Errorf("only %d places were tried", depths)
	}
}

// TestUnknownEnums meets an unknown value in every field that is an enum.
func TestUnknownEnums(t *testing.T) {
	tried := 0
	messages := File_wal_event_event_proto.Messages()
	for i := range messages.Len() {
		d := messages.Get(i)
		for j := range d.Fields().Len() {
			fd := d.Fields().Get(j)
			if fd.Kind() != protoreflect.EnumKind {
				continue
			}
			for _, v := range []uint64{uint64(fd.Enum().Values().Len()), 1 << 31, 1 << 32, 1<<64 - 1} {
				tried++
				b := protowire.AppendVarint(protowire.AppendTag(nil, fd.Number(), protowire.VarintType), v)
				err := vocabulary().shapes[d.FullName()].check(b)
				if !errors.Is(err, ErrNewer) {
					t.Errorf("%s = %d: %v", fd.FullName(), v, err)
				}
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d values were tried", tried)
	}
	grant := Canonical(&BucketACLSet{Acl: &ACL{Grants: []*Grant{{Group: 99}}}})
	if err := Decode(grant, &BucketACLSet{}); !errors.Is(err, ErrNewer) {
		t.Errorf("nested: %v", err)
	}
}

func TestMalformed(t *testing.T) {
	tag := func(n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
	}
	for name, c := range map[string]struct {
		b []byte
		m proto.Message
	}{
		"torn tag":                {[]byte{0x80}, &BlobID{}},
		"torn varint":             {[]byte{0x08, 0x80}, &BlobID{}},
		"torn bytes":              {[]byte{0x0a, 5, 1}, &Checksum{}},
		"field zero":              {[]byte{0x00, 0x01}, &BlobID{}},
		"wire type seven":         {[]byte{0x0f}, &BlobID{}},
		"end of no group":         {[]byte{0x0c}, &BlobID{}},
		"length above all":        {[]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, &ACL{}},
		"uint32 above its range":  {tag(2, 1<<32), &Version{}},
		"bool of two":             {tag(3, 2), &Outcome{}},
		"text that is not UTF-8":  {[]byte{0x0a, 1, 0xff}, &ACL{}},
		"torn in a message in it": {[]byte{0x12, 2, 0x0a, 5}, &ACL{}},
	} {
		if err := Decode(c.b, c.m); !errors.Is(err, ErrMalformed) || errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEntry(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":       {nil, ErrMalformed},
		"short":       {AppendEntry(nil, 1, nil)[:8], ErrMalformed},
		"old version": {append([]byte{0}, make([]byte, 20)...), ErrMalformed},
		"newer":       {append([]byte{2}, make([]byte, 20)...), ErrNewer},
		"newest":      {append([]byte{255}, make([]byte, 20)...), ErrNewer},
		"no proposal": {AppendEntry(nil, -5, nil), nil},
	} {
		stamp, proposal, err := ParseEntry(c.data)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (stamp != -5 || len(proposal) != 0) {
			t.Errorf("%s: %d %x", name, stamp, proposal)
		}
	}
	data := AppendEntry([]byte("x"), 7, []byte("abc"))[1:]
	if _, p, err := ParseEntry(data); err != nil || &p[0] != &data[9] {
		t.Errorf("the proposal does not alias the entry: %v", err)
	}
}

// A schema that does not hold a message says so, and reads nothing.
func TestForeignMessage(t *testing.T) {
	if err := NewSchema().Decode(nil, &BlobID{}); err == nil {
		t.Error("decoded a message of no file of the schema")
	}
}

// FuzzDecode: the strict decoder never panics, agrees with protobuf on what is
// malformed or unknown, and what it accepts reads back.
func FuzzDecode(f *testing.F) {
	for _, body := range bodies() {
		f.Add(Canonical(&Statement{Header: &Header{RequestId: make([]byte, 16)}, Body: body}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, plain := &Statement{}, &Statement{}
		err, plainErr := Decode(b, s), proto.Unmarshal(b, plain)
		if plainErr != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("protobuf says %v, the decoder %v", plainErr, err)
		}
		if err != nil {
			if errors.Is(err, ErrMalformed) == errors.Is(err, ErrNewer) {
				t.Fatalf("neither or both: %v", err)
			}
			return
		}
		if reflected := known(plain.ProtoReflect()); !reflected || !proto.Equal(s, plain) {
			t.Fatalf("accepted %v", plain)
		}
		again := &Statement{}
		if err := Decode(Canonical(s), again); err != nil || !proto.Equal(s, again) {
			t.Fatalf("read back %v, %v", again, err)
		}
	})
}

// known tells by reflection whether all of m is known: the slow way.
func known(m protoreflect.Message) bool {
	ok := len(m.GetUnknown()) == 0
	each := func(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch fd.Kind() {
		case protoreflect.MessageKind:
			ok = ok && known(v.Message())
		case protoreflect.EnumKind:
			ok = ok && fd.Enum().Values().ByNumber(v.Enum()) != nil
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !fd.IsList() {
			each(fd, v)
			return ok
		}
		for i := range v.List().Len() {
			each(fd, v.List().Get(i))
		}
		return ok
	})
	return ok
}
