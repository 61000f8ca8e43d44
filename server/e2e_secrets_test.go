package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
	"ironman/wal/ledger"
)

// TestSecretsStayInside uses secrets in every way there is, and looks for them where
// they must not be: logs, answers, metrics, and every file but the two that keep them.
func TestSecretsStayInside(t *testing.T) {
	p := newProcess(t, "--log-level", "debug", "--snapshot-entries", "200", "--allow-insecure-sse-c", "--kms-keys", "testkey-*")
	p.keys = []server.KeySpec{randomKey("carol")}
	cwd, tmp := t.TempDir(), t.TempDir()
	p.cwd, p.env = cwd, []string{"TMPDIR=" + tmp, "HOME=" + cwd}
	p.start() // prints the root keys, this once
	p.stop()
	printed := len(p.log.String())
	p.start()
	s := &secrets{T: t, p: p, found: make(map[string][]byte)}
	s.keep("root's secret", p.cred.Secret.Reveal())
	s.keep("carol's secret", []byte(p.keys[0].SecretKey))
	s.keepKeyring()
	s.seal()
	s.use()
	awaitSnapshot(t, p)
	s.look("the metrics", p.adminGet("/-/metrics"))
	status := p.status()
	s.look("the status", fmt.Appendf(nil, "%+v", status))
	var where []server.ShardLocation
	p.ask(&where, "locate", "canary", "object")
	s.look("locate", fmt.Appendf(nil, "%+v", where))
	s.look("the goroutines", p.adminGet("/-/pprof/goroutine?debug=2"))
	p.stop()
	log := p.log.String()[printed:]
	s.look("the log", []byte(log))
	if !strings.Contains(log, "operation=PutObject") || !strings.Contains(log, p.cred.AccessKey) {
		t.Error("the log does not tell of requests: it proves nothing")
	}
	s.files()
	for _, dir := range []string{cwd, tmp} {
		if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
			t.Errorf("outside of its directories the node left %v, %v", names, err)
		}
	}
	checkReplay(t, p.dir, status)
}

// secrets are byte strings that must not be found, by what they are.
type secrets struct {
	*testing.T
	p     *process
	found map[string][]byte
	known bool // an access key, which is no secret, was found in a file
}

// keep remembers a secret, and the ways of writing it.
func (s *secrets) keep(name string, secret []byte) {
	if len(secret) < 16 {
		s.Fatalf("%s is too short to look for", name)
	}
	s.found[name] = secret
	s.found[name+" in hex"] = []byte(hex.EncodeToString(secret))
	s.found[name+" in base64"] = []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(secret), "=")[:16])
	s.found[name+" in a URL"] = []byte(url.QueryEscape(string(secret)))
}

func (s *secrets) look(where string, b []byte) {
	s.Helper()
	for name, secret := range s.found {
		if strings.HasPrefix(name, "the keyring's") && strings.HasSuffix(where, "keyring.json") {
			continue // its own place
		}
		if i := bytes.Index(b, secret); i >= 0 {
			s.Errorf("%s is in %s: %q", name, where, b[max(0, i-60):min(len(b), i+20)])
		}
	}
}

// keepKeyring remembers all keys of the keyring.
func (s *secrets) keepKeyring() {
	b, err := os.ReadFile(filepath.Join(s.p.dir, "keyring.json"))
	if err != nil {
		s.Fatal(err)
	}
	var keys struct {
		Sealing string   `json:"sealing_key"`
		Ledger  string   `json:"ledger_key"`
		Masters []string `json:"sse_masters"`
	}
	if err := json.Unmarshal(b, &keys); err != nil || len(keys.Masters) != 1 {
		s.Fatalf("the keyring: %v", err)
	}
	for name, text := range map[string]string{"sealing key": keys.Sealing, "ledger key": keys.Ledger, "master secret": keys.Masters[0]} {
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			s.Fatal(err)
		}
		s.keep("the keyring's "+name, secret)
	}
}

// seal writes encrypted objects of each kind. Neither their bytes nor a client's keys may be
// found in any file.
func (s *secrets) seal() {
	c := s.p.client()
	c.must(s, 200, "PUT", "/sealed", nil)
	for i, way := range waysToSeal()[1:] {
		if way.name == "kms-other" {
			continue // not one of this node's keys
		}
		canary := []byte(fmt.Sprintf("plain bytes of an object that is encrypted by %s", way.name))
		s.keep("the plain bytes of "+way.name, canary)
		if way.read != nil {
			key, err := base64.StdEncoding.DecodeString(way.read[customerHeader+"Key"])
			if err != nil {
				s.Fatal(err)
			}
			s.keep("the key of "+way.name, key)
			bad := c.refused(s, 400, "InvalidArgument", "PUT", "/sealed/bad", canary, withHeaders(way.write), header(customerHeader+"Key-Md5", contentMD5([]byte("other"))))
			s.look("a refusal", bad.body)
		}
		for j, b := range [][]byte{canary, bytes.Repeat(canary, 40_000)} {
			target := fmt.Sprintf("/sealed/%d-%d", i, j)
			put := c.must(s, 200, "PUT", target, b, withHeaders(way.write))
			s.look("an answer's header", fmt.Appendf(nil, "%v", put.header))
			if got := c.must(s, 200, "GET", target, nil, withHeaders(way.read)); !bytes.Equal(got.body, b) {
				s.Errorf("%s does not come back", way.name)
			}
			c.must(s, 200, "PUT", target+"-copy", []byte{}, header("X-Amz-Copy-Source", target), withHeaders(way.source, way.write))
			if way.read != nil {
				s.look("a refusal", c.must(s, 400, "GET", target, nil, withHeaders(customer(customerHeader, content(77, 32)))).body)
			}
		}
	}
}

// use sends requests that carry secrets, good and bad ones.
func (s *secrets) use() {
	c := s.p.client()
	send := func(r *http.Request) {
		s.Helper()
		a, err := c.send(r)
		if err != nil {
			s.Fatal(err)
		}
		s.look("an answer", a.body)
		s.look("an answer's header", fmt.Appendf(nil, "%v", a.header))
	}
	c.must(s, 200, "PUT", "/canary", nil)
	c.must(s, 200, "PUT", "/canary/object", content(1, 100_000), header("X-Amz-Acl", "public-read"))
	for i := range 500 {
		c.must(s, 200, "PUT", fmt.Sprintf("/canary/%d", i), content(uint64(i), 10))
	}
	carol := s.p.as(0)
	for i, who := range []*client{c, carol} {
		for j, method := range []string{"GET", "PUT", "DELETE", "POST"} {
			r := who.request(context.Background(), method, fmt.Sprintf("/canary/object-%d", j), []byte{})
			who.sign(r, nil)
			_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			s.keep(fmt.Sprintf("signature %d of %d", j, i), []byte(signature))
			send(r)
			r = who.request(context.Background(), method, fmt.Sprintf("/canary/object-%d", j), nil)
			if err := sig.PresignV4(r, who.cred, region, time.Hour, time.Now()); err != nil {
				s.Fatal(err)
			}
			s.keep(fmt.Sprintf("presigned signature %d of %d", j, i), []byte(r.URL.Query().Get("X-Amz-Signature")))
			send(r)
			r = who.request(context.Background(), method, fmt.Sprintf("/canary/object-%d", j), nil)
			if err := sig.PresignV2(r, who.cred, "", time.Now().Add(time.Hour)); err != nil {
				s.Fatal(err)
			}
			s.keep(fmt.Sprintf("presigned v2 signature %d of %d", j, i), []byte(r.URL.Query().Get("Signature")))
			send(r)
			// A signature that does not match says what was to be signed, not by what.
			r = who.request(context.Background(), method, "/canary/other", []byte{})
			who.sign(r, nil)
			r.URL.Path = "/canary/another"
			send(r)
			r = who.request(context.Background(), method, "/canary/object", nil)
			token := fmt.Sprintf("session-token-%d-%d-0123456789", i, j)
			s.keep("token "+token, []byte(token))
			r.Header.Set("X-Amz-Security-Token", token)
			who.sign(r, nil)
			send(r)
		}
	}
	s.vault()
	s.admin()
}

// vault has keys, sessions and an account made, and uses them.
func (s *secrets) vault() {
	root := s.p.vault(s.T, awsCredentials(s.p.cred))
	keep := func(name string, v *vaultRun) {
		c, err := v.cred.Retrieve(v.ctx)
		root.ok(err)
		s.keep(name, []byte(c.SecretAccessKey))
		if c.SessionToken != "" {
			s.keep(name+"'s token", []byte(c.SessionToken))
		}
		if _, err := v.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{}); err != nil {
			s.Errorf("%s: %v", name, err)
		}
	}
	tenant, _ := s.p.tenant(s.T, "tenant")
	keep("a tenant's secret", tenant)
	user := tenant.user("user")
	tenant.let("user", "all", []string{"*"}, []string{"*"})
	keep("a user's secret", user)
	role := tenant.role("role", user.who(), "")
	own, err := user.sts.GetSessionToken(user.ctx, &sts.GetSessionTokenInput{})
	root.ok(err)
	keep("a session's secret", user.session(own.Credentials))
	assumed, err := user.sts.AssumeRole(user.ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")})
	root.ok(err)
	keep("a role's session's secret", user.session(assumed.Credentials))
}

// admin asks the admin listener, with wrong secrets and right ones.
func (s *secrets) admin() {
	for _, secret := range []string{"", "wrong-wrong-wrong-wrong", s.p.keys[0].SecretKey} {
		for _, path := range []string{"/-/metrics", "/-/status", "/-/locate?bucket=canary&key=object", "/-/pprof/heap", "/-/health/ready", "/-/pprof/profile", "/-/pprof/goroutine"} {
			for _, access := range []string{s.p.cred.AccessKey, s.p.keys[0].AccessKey, "nobody", ""} {
				r, err := http.NewRequestWithContext(context.Background(), "GET", "http://"+s.p.admin+path, nil)
				if err != nil {
					s.Fatal(err)
				}
				r.SetBasicAuth(access, secret)
				a, err := s.p.client().send(r)
				if err != nil || a.status != 401 {
					s.Errorf("%s as %q: %v %v", path, access, a, err)
				}
			}
		}
	}
	for path, want := range map[string]int{"/-/health/live": 200, "/": 404, "/debug/pprof/": 404, "/metrics": 404, "/-/": 404, "/-/health/live/../../status": 404} {
		a, err := s.p.client().try("GET", "/", nil, func(r *http.Request) { r.URL.Host, r.Host, r.URL.Path = s.p.admin, s.p.admin, path })
		if err != nil || a.status != want && a.status != 401 && a.status != 307 {
			s.Errorf("%s: %v %v", path, a, err)
		}
		if path == "/-/health/live" && len(a.body) > 0 {
			s.Errorf("liveness tells %q", a.body)
		}
	}
}

// files looks into every file of a stopped node, and at its mode.
func (s *secrets) files() {
	for _, dir := range append([]string{s.p.dir}, s.p.disks...) {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				s.Errorf("%s may be read by others: %v", path, info.Mode())
			}
			if e.IsDir() || path == filepath.Join(s.p.dir, "root-credentials.json") {
				return nil
			}
			b, err := os.ReadFile(path)
			if err == nil {
				s.look(strings.TrimPrefix(path, filepath.Dir(s.p.dir)), b)
				s.known = s.known || bytes.Contains(b, []byte(s.p.keys[0].AccessKey))
			}
			return err
		})
		if err != nil {
			s.Fatal(err)
		}
	}
	names, err := os.ReadDir(filepath.Dir(s.p.dir))
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range names {
		if n := e.Name(); n != "node" && n != "ready.json" && n != "keys.json" && !strings.HasPrefix(n, "disk") {
			s.Errorf("outside of its directories the node left %s", n)
		}
	}
	if !s.known {
		s.Error("not even an access key is in any file: the search proves nothing")
	}
	s.payloads()
}

// payloads looks into what the ledger keeps compressed.
func (s *secrets) payloads() {
	a, err := ledger.Open(ledger.Options{FS: vfs.Default, Dir: filepath.Join(s.p.dir, "wal", "ledger"), ReadOnly: true, Fatal: func(err error) { s.Fatal(err) }})
	if err != nil {
		s.Fatal(err)
	}
	defer a.Close()
	n := 0
	for r, err := range a.Records(0) {
		if err != nil {
			s.Fatal(err)
		}
		s.look("a statement", r.Statement)
		s.look("an outcome", r.Outcome)
		for _, item := range r.Items {
			s.look("a payload item", item.Bytes)
		}
		n++
	}
	if n < 256 {
		s.Errorf("only %d events in the ledger: it proves little", n)
	}
}
