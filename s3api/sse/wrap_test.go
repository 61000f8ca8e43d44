package sse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"ironman/wal/event"
)

func newMasters(t testing.TB, keys ...Key) *Masters {
	t.Helper()
	m, err := NewMasters(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestWrap opens a wrapped key in its own place only.
func TestWrap(t *testing.T) {
	blob, other := &event.BlobID{Incarnation: 1, Counter: 2}, &event.BlobID{Incarnation: 1, Counter: 3}
	m := newMasters(t, fixedKey(1))
	customer := NewCustomer(fixedKey(2))
	again, err := OpenCustomer(fixedKey(2), customer.Check())
	if err != nil {
		t.Fatal(err)
	}
	ways := []struct {
		name string
		wrap Wrapping
		same int // which name opens it, too
	}{
		{"s3", m.S3(), -1},
		{"kms", m.KMS("one", ""), -1},
		{"kms, context", m.KMS("one", `{"a":"b"}`), -1},
		{"kms, another key", m.KMS("two", ""), -1},
		{"kms, shifted", m.KMS("on", "e"), -1},
		{"customer", customer, 6},
		{"the same customer", again, 5},
		{"another customer", NewCustomer(fixedKey(3)), -1},
		{"the same key, another salt", NewCustomer(fixedKey(2)), -1},
	}
	for i, by := range ways {
		data := RandomKey()
		w := by.wrap.Wrap(data, blob)
		if bytes.Contains(w.Wrapped, data.Reveal()) {
			t.Error("a wrapped key holds the key")
		}
		if w2 := by.wrap.Wrap(data, blob); bytes.Equal(w.Nonce, w2.Nonce) || bytes.Equal(w.Wrapped, w2.Wrapped) {
			t.Errorf("%s wraps twice the same way", by.name)
		}
		for j, as := range ways {
			got, err := as.wrap.Unwrap(w)
			if ok := i == j || j == by.same; ok != (err == nil) || ok && !got.Equal(data.Secret) {
				t.Errorf("wrapped by %s, opened by %s: %v", by.name, as.name, err)
			}
		}
		moved := &event.WrappedKey{Blob: other, Wrapped: w.Wrapped, Nonce: w.Nonce}
		if _, err := by.wrap.Unwrap(moved); !errors.Is(err, ErrNotWrapped) {
			t.Errorf("%s opens for another blob: %v", by.name, err)
		}
		for at := range w.Wrapped {
			bad := &event.WrappedKey{Blob: blob, Wrapped: flip(w.Wrapped, at), Nonce: w.Nonce}
			if _, err := by.wrap.Unwrap(bad); err == nil {
				t.Fatalf("%s opens with byte %d changed", by.name, at)
			}
		}
		for _, bad := range []*event.WrappedKey{nil, {}, {Blob: blob, Wrapped: w.Wrapped}, {Blob: blob, Wrapped: w.Wrapped[:20], Nonce: w.Nonce}, {Blob: blob, Wrapped: w.Wrapped, Nonce: flip(w.Nonce, 0)}} {
			if _, err := by.wrap.Unwrap(bad); err == nil {
				t.Errorf("%s opens %v", by.name, bad)
			}
		}
	}
}

// TestMasters opens what older masters wrapped, names what is missing, and what is newer.
func TestMasters(t *testing.T) {
	blob, data := &event.BlobID{Counter: 1}, RandomKey()
	old, both := newMasters(t, fixedKey(1)), newMasters(t, fixedKey(1), fixedKey(2))
	w := old.KMS("k", "").Wrap(data, blob)
	if got, err := both.KMS("k", "").Unwrap(w); err != nil || !got.Equal(data.Secret) {
		t.Errorf("after a rotation: %v", err)
	}
	w = both.KMS("k", "").Wrap(data, blob)
	if _, err := old.KMS("k", "").Unwrap(w); !errors.Is(err, ErrNoMaster) {
		t.Errorf("without the master: %v", err)
	}
	if _, err := newMasters(t, fixedKey(2)).KMS("k", "").Unwrap(w); err != nil {
		t.Errorf("the newest does not wrap: %v", err)
	}
	if ids := both.IDs(); len(ids) != 2 || ids[0] != old.IDs()[0] || ids[0] == ids[1] {
		t.Errorf("ids: %v", ids)
	}
	newer := &event.WrappedKey{Blob: blob, Wrapped: append([]byte{2}, w.Wrapped...), Nonce: w.Nonce}
	if _, err := both.S3().Unwrap(newer); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer wrapping: %v", err)
	}
	if _, err := NewMasters(); err == nil {
		t.Error("no master is one")
	}
}

// TestCustomer recognises a wrong key, and a check that it does not know.
func TestCustomer(t *testing.T) {
	c := NewCustomer(fixedKey(1))
	if _, err := OpenCustomer(fixedKey(2), c.Check()); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	if _, err := OpenCustomer(fixedKey(1), nil); !errors.Is(err, ErrWrongKey) {
		t.Errorf("no check: %v", err)
	}
	for at := range c.Check() {
		if _, err := OpenCustomer(fixedKey(1), flip(c.Check(), at)); err == nil {
			t.Fatalf("byte %d of the check does not matter", at)
		}
	}
	newer := append([]byte{2}, c.Check()...)
	if _, err := OpenCustomer(fixedKey(1), newer); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer check: %v", err)
	}
	if bytes.Equal(NewCustomer(fixedKey(1)).Check(), c.Check()) {
		t.Error("equal keys have equal checks")
	}
}

// TestKeyIsRedacted prints keys in every way, wherever they stand.
func TestKeyIsRedacted(t *testing.T) {
	k := fixedKey('K')
	c := NewCustomer(k)
	m := newMasters(t, k)
	for _, v := range []any{k, &k, struct{ inner Key }{k}, c, *c, m, *m, m.S3(), map[string]Key{"a": k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			text := fmt.Sprintf(verb, v)
			for _, leak := range []string{"KKKK", "4b4b4b", "75 75 75", "0x4b, 0x4b"} {
				if bytes.Contains([]byte(text), []byte(leak)) {
					t.Errorf("%s of %T: %s", verb, v, text)
				}
			}
		}
		if b, err := json.Marshal(v); err == nil && bytes.Contains(b, []byte("S0tL")) {
			t.Errorf("JSON of %T: %s", v, b)
		}
	}
	k.Wipe()
	if !bytes.Equal(k.Reveal(), make([]byte, KeyBytes)) {
		t.Error("a wiped key is still there")
	}
	if _, err := NewKey(make([]byte, 31)); err == nil {
		t.Error("31 bytes are a key")
	}
}
