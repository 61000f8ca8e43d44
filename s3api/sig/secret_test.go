package sig

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// No way of printing shows a secret: not of Secret itself, not of what holds one, in
// exported and unexported fields.
func TestSecretsAreNeverPrinted(t *testing.T) {
	const canary = "canary-0123456789"
	s := NewSecret(canary)
	r, c := signedHeader(t)
	c.Secret, c.Session = s, s
	if err := SignV4(r, c, "us-east-1", emptySHA256, exampleTime); err != nil {
		t.Fatal(err)
	}
	v := verifierOf(c, exampleTime)
	id, err := v.Verify(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	id.chunks = &chunkSeed{key: deriveKey(s, "20130524", "us-east-1", "s3")}
	key := id.chunks.key.Reveal()
	hidden := struct{ secret Secret }{s}
	for _, x := range []any{s, &s, c, &c, hidden, &hidden, []Secret{s}, map[string]Secret{"a": s}, id, *id, &v.keys, v.keys.young} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			text := fmt.Sprintf(verb, x)
			for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary),
				fmt.Sprint([]byte(canary)[:6])[1:], fmt.Sprint(key[:6])[1:], fmt.Sprintf("%x", key[:6])} {
				if strings.Contains(text, strings.TrimSuffix(leak, "]")) {
					t.Errorf("%T with %s: %s", x, verb, text)
				}
			}
		}
	}
	j, _ := json.Marshal(c)
	x, _ := xml.Marshal(c)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", s, "credential", c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secret", s, "credential", c)
	if all := string(j) + string(x) + log.String(); strings.Contains(all, canary) || !strings.Contains(all, redacted) {
		t.Error(all)
	}
}

func TestSecretEqual(t *testing.T) {
	a := NewSecret([]byte("a"))
	if !a.Equal(NewSecret("a")) || a.Equal(NewSecret("b")) || a.Equal(Secret{}) || !(Secret{}).Equal(NewSecret("")) {
		t.Fatal("Equal")
	}
	b := []byte("x")
	s := NewSecret(b)
	b[0] = 'y'
	if string(s.Reveal()) != "x" {
		t.Fatal("not a copy")
	}
}

// Errors of verification hold no secret either, nor the session token.
func TestErrorsHoldNoSecrets(t *testing.T) {
	c := Credential{AccessKey: "K", Secret: NewSecret("canary-secret"), Session: NewSecret("canary-token")}
	for _, sign := range []func() error{
		func() error {
			r := newRequest(t, "GET", "http://s3.example.com/b/k", "", "x-amz-server-side-encryption-customer-key", "canary-key")
			if err := SignV4(r, c, "us-east-1", emptySHA256, exampleTime); err != nil {
				t.Fatal(err)
			}
			r.Method = "PUT"
			return verify(verifierOf(c, exampleTime), sent(t, r))
		},
		func() error {
			r := newRequest(t, "GET", "http://s3.example.com/b/k", "", "x-amz-server-side-encryption-customer-key", "canary-key")
			if err := SignV2(r, c, "", exampleTime); err != nil {
				t.Fatal(err)
			}
			r.Method = "PUT"
			return verify(verifierOf(c, exampleTime), sent(t, r))
		},
	} {
		e := wantCode(t, sign(), CodeSignatureDoesNotMatch)
		if text := fmt.Sprintf("%#v %+v %v", e, e.Detail, e); strings.Contains(text, "canary") {
			t.Error(text)
		}
	}
}

func TestKeyCache(t *testing.T) {
	var c keyCache
	a, b := NewSecret("a"), NewSecret("b")
	k := c.get("key", a, "20130524", "r")
	if !k.Equal(deriveKey(a, "20130524", "r", "s3")) || &c.get("key", a, "20130524", "r").Reveal()[0] != &k.Reveal()[0] {
		t.Fatal("not remembered")
	}
	// A replaced secret never meets the old key.
	if !c.get("key", b, "20130524", "r").Equal(deriveKey(b, "20130524", "r", "s3")) {
		t.Fatal("the key of another secret")
	}
	for i := range 3 * maxKeys {
		c.get(fmt.Sprint(i), a, "20130524", "r")
		if n := len(c.young) + len(c.old); n > 2*maxKeys {
			t.Fatalf("%d keys", n)
		}
	}
	if !c.get("key", a, "20130524", "r").Equal(k) || c.get("0", a, "20130525", "r").Equal(c.get("0", a, "20130524", "r")) {
		t.Fatal("wrong key")
	}
}

func TestCodesAreComplete(t *testing.T) {
	codes := Codes()
	if len(codes) != 19 {
		t.Fatal(len(codes))
	}
	for i := 1; i < len(codes); i++ {
		if codes[i-1] >= codes[i] {
			t.Fatalf("%s, %s", codes[i-1], codes[i])
		}
	}
}
