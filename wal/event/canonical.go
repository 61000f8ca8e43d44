package event

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// canonical is how everything that apply writes is encoded: fields in ascending
// order, absent and zero fields left out. The schema has no maps, groups or
// repeated scalars, whose form would be a matter of taste. Protobuf does not
// promise its bytes from one release of the library to the next, so goldens of
// every kind and an independent encoder in the tests hold it to this form.
var canonical = proto.MarshalOptions{Deterministic: true}

// Canonical encodes m. Equal messages give equal bytes in every release. It
// panics on text that is not UTF-8, which no decoded message holds. Safe for
// concurrent use.
func Canonical(m proto.Message) []byte {
	return AppendCanonical(nil, m)
}

// AppendCanonical appends Canonical(m) to b.
func AppendCanonical(b []byte, m proto.Message) []byte {
	b, err := canonical.MarshalAppend(b, m)
	if err != nil {
		panic(fmt.Sprintf("event: %s cannot be encoded: %v", m.ProtoReflect().Descriptor().Name(), err))
	}
	return b
}
