package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
)

// TestKeysFile: the keys of the file are made by the first start, and only by it.
func TestKeysFile(t *testing.T) {
	p := newProcess(t)
	p.keys = []server.KeySpec{randomKey("dora"), randomKey("dora"), randomKey("emil")}
	p.start()
	p.as(0).must(t, 200, "PUT", "/doras", nil)
	p.as(1).must(t, 200, "PUT", "/doras/object", []byte("x")) // a second key of the same account
	p.as(2).refused(t, 403, "AccessDenied", "GET", "/doras/object", nil)
	events := p.status().Events
	p.stop()
	first := p.keys
	p.keys = []server.KeySpec{randomKey("frida"), first[0]}
	p.keys[1].SecretKey = "another-secret-for-a-known-key"
	p.start()
	p.as(0).refused(t, 403, "InvalidAccessKeyId", "GET", "/doras/object", nil)
	p.as(1).refused(t, 403, "SignatureDoesNotMatch", "GET", "/doras/object", nil)
	p.keys = first
	p.as(0).must(t, 200, "GET", "/doras/object", nil)
	// A start is one event, each disk and each of the root's two another.
	if n := p.status().Events; n > events+10 {
		t.Errorf("%d events after the second start, %d before", n, events)
	}
	p.stop()
	if err := os.Chmod(p.writeKeys(), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(p.dir), "keys.json")
	if _, err := server.ReadKeys(vfs.Default, path, true); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a keys file that others may read: %v", err)
	}
}

// TestReadKeys: what is no keys file is refused, and not quoted.
func TestReadKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	for _, text := range []string{
		"", "{}", "secret-secret-secret", `[{"access_key":"a","secret":"secret-secret-secret"}]`, `[{"secret_key":17}]`, `["secret-secret-secret"]`, `[] []`,
		`[{"secret_key":"` + strings.Repeat("s", 100_000) + `"}]`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := server.ReadKeys(vfs.Default, path, true)
		if err == nil || strings.Contains(err.Error(), "secret-secret") {
			t.Errorf("%.40q: %v, %v", text, keys, err)
		}
	}
	for _, bad := range []server.KeySpec{{}, {AccessKey: "KEY", SecretKey: "short", Name: "n"}, {AccessKey: "KEY", SecretKey: "long-enough-secret"}, {AccessKey: "K/Y", SecretKey: "long-enough-secret", Name: "n"}} {
		p := newProcess(t)
		p.keys = []server.KeySpec{bad}
		if err := p.tryStart(); err == nil {
			t.Errorf("%v was accepted", bad)
		}
		if strings.Contains(p.log.String(), "long-enough") {
			t.Errorf("the secret is in the log: %s", p.log)
		}
	}
}
