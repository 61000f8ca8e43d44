package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
)

// TestMembersOutliveTheState: a state that was not flushed comes back empty, and the
// node must still know whom to speak to.
func TestMembersOutliveTheState(t *testing.T) {
	fs := vfs.NewMem()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want := &memberTable{next: 9, nodes: map[uint32]member{
		1: {Node: 1, Address: "a:1", Key: public, Boot: 3}, 2: {Node: 2, Address: "b:1", Key: public, Boot: 1},
	}}
	if err := writeMembers(fs, membersFile, want.file()); err != nil {
		t.Fatal(err)
	}
	m, err := fsm.Open(fsm.Options{FS: fs, Dir: "state", Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := openMembers(m, fs, membersFile, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	if !s.table.Load().same(want) {
		t.Errorf("it knows %v", s.table.Load().nodes)
	}
	if n, ok := s.node(2); !ok || n.Address != "b:1" || n.Boot != 1 {
		t.Errorf("%v %v", n, ok)
	}
	if _, ok := s.node(3); ok {
		t.Error("a node that nobody added")
	}
	for _, bad := range []string{"", "{", `{"format":2}`, `{"format":1,"more":0}`, `{"format":1,"next":1,"members":[{"node":1,"key":"AA=="}]}`} {
		if err := writeDurably(fs, membersFile, []byte(bad)); err != nil {
			t.Fatal(err)
		}
		if _, err := openMembers(m, fs, membersFile, func(error) {}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
