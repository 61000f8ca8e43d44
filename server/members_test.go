package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
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

// TestLearnMembers: what another member remembers counts if it knows more, also for the
// next start, and else it does not.
func TestLearnMembers(t *testing.T) {
	fs := vfs.NewMem()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	said := func(next uint64, nodes ...uint32) []byte {
		table := &memberTable{next: next, nodes: make(map[uint32]member)}
		for _, n := range nodes {
			table.nodes[n] = member{Node: n, Address: "a:1", Key: public}
		}
		b, err := json.Marshal(table.file())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := writeDurably(fs, membersFile, said(9, 1, 2)); err != nil {
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
	knows := func(what string, s *members, n uint32, want bool) {
		t.Helper()
		if _, ok := s.node(n); ok != want {
			t.Errorf("%s: node %d is known: %v", what, n, ok)
		}
	}
	for _, old := range [][]byte{said(9, 1, 2, 3), said(5, 1, 2, 3), said(12)} {
		if err := s.learn(old); err != nil {
			t.Fatal(err)
		}
	}
	knows("nothing new", s, 3, false)
	if err := s.learn([]byte("{")); err == nil {
		t.Error("half an answer was taken")
	}
	if err := s.learn(said(12, 1, 3)); err != nil {
		t.Fatal(err)
	}
	knows("node 3 came", s, 3, true)
	knows("node 2 went", s, 2, false)
	again, err := openMembers(m, fs, membersFile, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	knows("the next start", again, 3, true)
}
