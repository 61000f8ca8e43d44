package server

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestSessionSeal: a token opens for its key, under its keyring, unaltered, and never
// as the secret of an access key.
func TestSessionSeal(t *testing.T) {
	k := testKeyring(t, "a")
	token := k.sealSession("ASIA1", []byte("what it holds"))
	if b, err := k.openSession("ASIA1", token); err != nil || string(b) != "what it holds" {
		t.Fatal(string(b), err)
	}
	if again := k.sealSession("ASIA1", []byte("what it holds")); again == token {
		t.Error("a nonce was used twice")
	}
	bad := map[string]func() ([]byte, error){
		"another key":     func() ([]byte, error) { return k.openSession("ASIA2", token) },
		"another keyring": func() ([]byte, error) { return testKeyring(t, "b").openSession("ASIA1", token) },
		"empty":           func() ([]byte, error) { return k.openSession("ASIA1", "") },
		"long":            func() ([]byte, error) { return k.openSession("ASIA1", strings.Repeat("A", maxTokenText+1)) },
	}
	for i := range len(token) {
		b := []byte(token)
		b[i] = map[bool]byte{true: 'B', false: 'A'}[b[i] == 'A']
		bad["altered"] = func() ([]byte, error) { return k.openSession("ASIA1", string(b)) }
		if _, err := bad["altered"](); err == nil {
			t.Errorf("byte %d does not count", i)
		}
	}
	for name, open := range bad {
		if _, err := open(); err == nil {
			t.Error(name, "was opened")
		}
	}
	if _, err := k.openSecret("ASIA1", []byte(token)); err == nil {
		t.Error("a token was opened as a secret")
	}
}

func testKeyring(t *testing.T, name string) *keyring {
	t.Helper()
	k, err := openKeyring(vfs.NewMem(), name, true, false)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// FuzzSessionToken: nothing that was not sealed here opens, whatever it is.
func FuzzSessionToken(f *testing.F) {
	k, err := openKeyring(vfs.NewMem(), "k", true, false)
	if err != nil {
		f.Fatal(err)
	}
	good := k.sealSession("ASIA1", []byte("x"))
	f.Add(good)
	f.Add(good[:20])
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, token string) {
		if b, err := k.openSession("ASIA1", token); err == nil && (token != good || string(b) != "x") {
			t.Fatalf("%q opened", token)
		}
	})
}
