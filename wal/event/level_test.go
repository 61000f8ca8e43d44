package event

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const fieldLevels = "testdata/fields.txt"

// proposable is every field, and every value of an enum, that a proposal may hold: what
// a node of an older release may not know.
func proposable() map[protoreflect.FullName]bool {
	names := make(map[protoreflect.FullName]bool)
	var walk func(m protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if names[m.FullName()] {
			return
		}
		names[m.FullName()] = true
		for i := range m.Fields().Len() {
			fd := m.Fields().Get(i)
			names[fd.FullName()] = true
			if fd.Message() != nil {
				walk(fd.Message())
			}
			if e := fd.Enum(); e != nil {
				for j := range e.Values().Len() {
					names[e.Values().Get(j).FullName()] = true
				}
			}
		}
	}
	for _, m := range []proto.Message{&Statement{}, &Headers{}, &Tags{}, &Client{}} {
		walk(m.ProtoReflect().Descriptor())
	}
	return names
}

// TestFieldLevels: whatever the vocabulary gains is listed with the level it came with,
// and a statement that says it is of that level, so that no node of an older release
// meets it. -update lists what is new with the newest level.
func TestFieldLevels(t *testing.T) {
	levels := make(map[protoreflect.FullName]uint32)
	b, err := os.ReadFile(fieldLevels)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		name, level, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(level, 10, 32)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		levels[protoreflect.FullName(name)] = uint32(n)
	}
	now := proposable()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, ok := levels[name]; !ok && *update {
			levels[name] = FeatureLevel
		} else if !ok {
			t.Errorf("%s is new: Statement.Level must ask for it, and it must be listed (-update)", name)
		}
	}
	for name := range levels {
		if !now[name] {
			t.Errorf("%s is listed, and gone: its bytes are in somebody's log", name)
		}
	}
	if *update {
		var out strings.Builder
		for _, name := range slices.Sorted(maps.Keys(levels)) {
			fmt.Fprintf(&out, "%s %d\n", name, levels[name])
		}
		if err := os.WriteFile(fieldLevels, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range bodies() {
		p, err := Parse(golden(body))
		if err != nil {
			t.Fatal(err)
		}
		need, why := needed(p.Statement.ProtoReflect(), levels)
		if got := p.Statement.Level(); got < need {
			t.Errorf("%s: of level %d, though %s came with level %d", name, got, why, need)
		}
	}
	for _, m := range []proto.Message{&Headers{}, &Tags{}, &Client{}} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if name := fields.Get(i).FullName(); levels[name] > 0 {
				t.Errorf("%s came with level %d, and is of an item, which Statement.Level does not see", name, levels[name])
			}
		}
	}
}

// needed is the highest level of what a message says, and what that is.
func needed(m protoreflect.Message, levels map[protoreflect.FullName]uint32) (need uint32, why protoreflect.FullName) {
	take := func(level uint32, name protoreflect.FullName) {
		if level > need {
			need, why = level, name
		}
	}
	value := func(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
		if fd.Message() != nil {
			take(needed(v.Message(), levels))
		} else if e := fd.Enum(); e != nil {
			if d := e.Values().ByNumber(v.Enum()); d != nil {
				take(levels[d.FullName()], d.FullName())
			}
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		take(levels[fd.FullName()], fd.FullName())
		if !fd.IsList() {
			value(fd, v)
			return true
		}
		for i := range v.List().Len() {
			value(fd, v.List().Get(i))
		}
		return true
	})
	return need, why
}
