package event

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var update = flag.Bool("update", false, "add goldens that are missing; those that are there are never rewritten")

// goldens reads or adds to a file of "name hex" lines. Lines that are there are
// never changed: the bytes of a kind are for ever.
func goldens(t *testing.T, file string, want map[string][]byte) map[string][]byte {
	t.Helper()
	path := "testdata/" + file
	have := make(map[string][]byte)
	b, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		name, text, _ := strings.Cut(sc.Text(), " ")
		if have[name], err = hex.DecodeString(text); err != nil {
			t.Fatalf("%s: %s: %v", path, name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, ok := have[name]; !ok && *update {
			have[name] = want[name]
			b = fmt.Appendf(b, "%s %x\n", name, want[name])
		}
	}
	if *update {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return have
}

func compare(t *testing.T, file string, want map[string][]byte) {
	t.Helper()
	have := goldens(t, file, want)
	for name, w := range want {
		if !bytes.Equal(have[name], w) {
			t.Errorf("%s: the bytes of %s have changed:\n is %x\nwas %x", file, name, w, have[name])
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is not in the table any more", file, name)
		}
	}
}

func TestGoldenProposals(t *testing.T) {
	want := make(map[string][]byte)
	for name, body := range bodies() {
		want[name] = golden(body)
	}
	fields := (&Statement{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range fields.Len() {
		if fd := fields.Get(i); want[string(fd.Name())] == nil {
			t.Errorf("kind %s has no golden", fd.Name())
		} else if KindName(uint32(fd.Number())) != string(fd.Name()) {
			t.Errorf("kind %d is called %q", fd.Number(), KindName(uint32(fd.Number())))
		}
	}
	compare(t, "proposals.txt", want)
	for name, b := range goldens(t, "proposals.txt", nil) {
		p, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		kind, _, _ := strings.Cut(name, ".") // "kind.field": a further entry of a kind that got a field
		if KindName(p.Statement.Kind()) != kind || !proto.Equal(p.Statement, &Statement{Header: p.Statement.Header, Body: bodies()[name]}) {
			t.Errorf("%s reads as %v", name, p.Statement)
		}
		if !bytes.Equal(Canonical(p.Statement), p.StatementBytes) || !bytes.Equal(Canonical(p.Items[0]), p.ItemBytes[0]) {
			t.Errorf("%s does not read back to its bytes", name)
		}
	}
}

func TestGoldenEnvelopes(t *testing.T) {
	compare(t, "envelopes.txt", map[string][]byte{
		"outcome": Canonical(outcome()), "envelope": Canonical(envelope()), "outcome.restored": Canonical(restoredOutcome()),
		"entry": AppendEntry(nil, 1780000000123456789, []byte{1, 2, 3}),
	})
	have := goldens(t, "envelopes.txt", nil)
	o, env := &Outcome{}, &Envelope{}
	if err := Decode(have["outcome"], o); err != nil || !proto.Equal(o, outcome()) {
		t.Errorf("the outcome reads as %v, %v", o, err)
	}
	if err := Decode(have["outcome.restored"], o); err != nil || !proto.Equal(o, restoredOutcome()) {
		t.Errorf("the outcome of a restore reads as %v, %v", o, err)
	}
	if err := Decode(have["envelope"], env); err != nil || !proto.Equal(env, envelope()) {
		t.Errorf("the envelope reads as %v, %v", env, err)
	}
	stamp, proposal, err := ParseEntry(have["entry"])
	if err != nil || stamp != 1780000000123456789 || !bytes.Equal(proposal, []byte{1, 2, 3}) {
		t.Errorf("the entry reads as %d, %x, %v", stamp, proposal, err)
	}
}

func TestGoldenHashes(t *testing.T) {
	statement, item := StatementHash([]byte("statement")), ItemHash([]byte("item"))
	none, two := ItemsHash(nil), ItemsHash([][32]byte{item, statement})
	result := OutcomeHash([]byte("outcome"))
	p, err := Parse(golden(bodies()["object_put"]))
	if err != nil {
		t.Fatal(err)
	}
	items := p.ItemsHash()
	compare(t, "hashes.txt", map[string][]byte{
		"statement": statement[:], "item": item[:], "no-items": none[:], "two-items": two[:],
		"outcome": result[:], "object_put-items": items[:],
	})
}

// TestGoldensCoverSchema makes sure that every field of every message is set in
// some golden, so that none can change its bytes unseen.
func TestGoldensCoverSchema(t *testing.T) {
	seen := make(map[protoreflect.FullName]bool)
	var walk func(m protoreflect.Message)
	walk = func(m protoreflect.Message) {
		seen[m.Descriptor().FullName()] = true
		m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			seen[fd.FullName()] = true
			if fd.Message() == nil {
				return true
			}
			if !fd.IsList() {
				walk(v.Message())
				return true
			}
			for i := range v.List().Len() {
				walk(v.List().Get(i).Message())
			}
			return true
		})
	}
	decode := func(b []byte, m proto.Message) {
		if err := Decode(b, m); err != nil {
			t.Fatal(err)
		}
		walk(m.ProtoReflect())
	}
	for _, body := range bodies() {
		b := golden(body)
		decode(b, &Proposal{})
		p, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		walk(p.Statement.ProtoReflect())
		for kind, m := range map[ItemKind]proto.Message{
			ItemKind_ITEM_KIND_HEADERS: &Headers{}, ItemKind_ITEM_KIND_TAGS: &Tags{}, ItemKind_ITEM_KIND_CLIENT: &Client{},
		} {
			v, _ := p.Item(kind, 0)
			decode(v, m)
		}
		for _, it := range p.Items {
			walk(it.ProtoReflect())
		}
	}
	walk(envelope().ProtoReflect())
	walk(outcome().ProtoReflect())
	walk(restoredOutcome().ProtoReflect())
	messages := File_wal_event_event_proto.Messages()
	for i := range messages.Len() {
		for j := range messages.Get(i).Fields().Len() {
			if fd := messages.Get(i).Fields().Get(j); !seen[fd.FullName()] {
				t.Errorf("no golden sets %s", fd.FullName())
			}
		}
	}
}

// TestLevels names the kinds that came later than the first level.
func TestLevels(t *testing.T) {
	later := map[string]uint32{"node_added": 2, "node_removed": 2}
	for _, name := range []string{
		"cursor_set", "cursor_deleted", "principal_created", "principal_changed", "principal_deleted", "members_changed",
		"policy_created", "policy_version_created", "policy_version_deleted", "policy_default_set", "policy_deleted",
		"inline_policy_set", "policies_attached", "account_changed", "account_deleted", "access_key_sealed", "account_quota_set",
		"bucket_versioning_set", "bucket_lock_set", "bucket_quota_set", "object_tags_set", "object_lock_set", "object_renamed",
		"object_appended", "objects_expired",
	} {
		later[name] = 3
	}
	for _, name := range []string{"policy_tags_set", "payloads_erased", "history_retention_set", "objects_restored", "transaction_committed", "epoch_begun", "blobs_placed", "reads_noted"} {
		later[name] = 4
	}
	fields := (&Statement{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if got, want := LevelOf(uint32(fd.Number())), later[string(fd.Name())]; got != want || got > FeatureLevel {
			t.Errorf("%s is of level %d, not %d", fd.Name(), got, want)
		}
	}
}
