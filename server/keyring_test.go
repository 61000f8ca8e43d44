package server

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sse"
	"ironman/wal/event"
)

// oldKeyring is a keyring as releases before format 2 wrote it.
func oldKeyring() string {
	key := func(c string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) }
	return `{"format": 1, "sealing_key": "` + key("s") + `", "ledger_key": "` + key("l") + `"}`
}

// What the old keyring above must give for ever.
const (
	oldMasterID   = "e6be2397685d56ca"
	oldPrint      = "6aff7f50204f62000dbb97cd51980455"
	oldRecognized = "9b74df6405080fc62ed923ba2cd20557673f99ecde3a3a64a916cd46aa65b402"
)

// TestOldKeyring reads a keyring without masters: every node of its cluster comes to
// the same one, in every release.
func TestOldKeyring(t *testing.T) {
	k, err := parseKeyring([]byte(oldKeyring()))
	if err != nil {
		t.Fatal(err)
	}
	if ids := k.masters.IDs(); len(ids) != 1 || ids[0] != oldMasterID {
		t.Errorf("masters %v", ids)
	}
	if hex.EncodeToString(k.print) != oldPrint {
		t.Errorf("fingerprint %x", k.print)
	}
}

// TestRotateSSE adds masters; what was wrapped before still opens, and the cluster still
// takes the keyring for its own.
func TestRotateSSE(t *testing.T) {
	fresh, err := newKeyring()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"old": oldKeyring(), "new": string(fresh)} {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("dir", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeDurably(fs, "dir/keyring.json", []byte(text)); err != nil {
			t.Fatal(err)
		}
		before, err := openKeyring(fs, "dir/keyring.json", false, false)
		if err != nil {
			t.Fatal(err)
		}
		data, blob := sse.RandomKey(), &event.BlobID{Counter: 1}
		wrapped := before.masters.S3().Wrap(data, blob)
		for n := 2; n <= 3; n++ {
			ids, err := RotateSSE(fs, "dir", false)
			if err != nil || len(ids) != n {
				t.Fatalf("%s: %v, %v", name, ids, err)
			}
			after, err := openKeyring(fs, "dir/keyring.json", false, false)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := after.masters.S3().Unwrap(wrapped); err != nil || !got.Equal(data.Secret) {
				t.Errorf("%s: after %d masters: %v", name, n, err)
			}
			if string(after.print) != string(before.print) || !after.signer.Equal(before.signer) {
				t.Errorf("%s: other keys changed, too", name)
			}
			if _, err := before.masters.S3().Unwrap(after.masters.S3().Wrap(data, blob)); err == nil {
				t.Errorf("%s: the new master does not wrap", name)
			}
		}
	}
	if _, err := RotateSSE(vfs.NewMem(), "dir", false); err == nil {
		t.Error("no keyring was rotated")
	}
}

// TestBadKeyrings are refused, in words that quote none of them.
func TestBadKeyrings(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("m", 32)))
	with := func(change func(map[string]any)) string {
		m := make(map[string]any)
		if err := json.Unmarshal([]byte(oldKeyring()), &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct{ text, want string }{
		{"", "not a keyring"},
		{"{", "not a keyring"},
		{with(func(m map[string]any) { m["format"] = 0 }), "format 0"},
		{with(func(m map[string]any) { m["format"] = 3 }), "format 3 is not known"},
		{with(func(m map[string]any) { m["format"], m["more"] = 3, secret }), "format 3 is not known"},
		{with(func(m map[string]any) { m["format"] = 2 }), "not a keyring"},
		{with(func(m map[string]any) { m["sse_masters"] = []string{secret} }), "not a keyring"},
		{with(func(m map[string]any) { m["format"], m["sse_masters"] = 2, []string{secret[:40]} }), "not a keyring"},
		{with(func(m map[string]any) { m["format"], m["sse_masters"] = 2, []string{"!" + secret} }), "not a keyring"},
		{with(func(m map[string]any) { m["sealing_key"] = secret[:10] }), "not a keyring"},
	} {
		k, err := parseKeyring([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%s: %v, %v", c.text, k, err)
		}
	}
	k, err := parseKeyring([]byte(with(func(m map[string]any) { m["format"], m["sse_masters"] = 2, []string{secret} })))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, k); strings.Contains(text, "mmmm") || strings.Contains(text, "6d6d") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

// FuzzKeyring never panics, and takes nothing with a wrong number of masters.
func FuzzKeyring(f *testing.F) {
	f.Add([]byte(oldKeyring()))
	if b, err := newKeyring(); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKeyring(b); err == nil && len(k.masters.IDs()) == 0 {
			t.Error("a keyring without a master")
		}
	})
}

// TestRecognize: all nodes of a cluster know a request again, in every release, and nobody who
// has not got the keyring can tell what it was.
func TestRecognize(t *testing.T) {
	sums := make(map[string]bool)
	for range 2 {
		k, err := parseKeyring([]byte(oldKeyring()))
		if err != nil {
			t.Fatal(err)
		}
		sum := k.recognize([]byte("asked"))
		sums[hex.EncodeToString(sum[:])] = true
		if other := k.recognize([]byte("asked otherwise")); other == sum {
			t.Error("two requests are one")
		}
	}
	if len(sums) != 1 || !sums[oldRecognized] {
		t.Errorf("a request is known as %v", sums)
	}
	fresh, err := newKeyring()
	if err != nil {
		t.Fatal(err)
	}
	k, err := parseKeyring(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if sum := k.recognize([]byte("asked")); sums[hex.EncodeToString(sum[:])] {
		t.Error("another keyring comes to the same")
	}
}
