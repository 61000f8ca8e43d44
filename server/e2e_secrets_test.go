package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
	"ironman/server/backup"
)

// TestSecretsStayInside uses secrets in every way there is, and looks for them where
// they must not be: logs, answers, metrics, and every file but the two that keep them.
func TestSecretsStayInside(t *testing.T) {
	s := &secrets{T: t, planted: make(map[string]bool), planting: []byte("planted " + randomKey("x").SecretKey)}
	s.canaries.keep(t, planted, s.planting)
	s.hook = newReceiver(t)
	s.hook.setDown(true)
	p := s.first()
	cwd, tmp := t.TempDir(), t.TempDir()
	p.cwd = cwd
	p.env = append(p.env, "TMPDIR="+tmp, "HOME="+cwd)
	p.start() // prints the root keys, this once
	p.stop()
	printed := len(p.log.String())
	p.start()
	s.keep("root's secret", p.cred.Secret.Reveal())
	s.keep("carol's secret", []byte(p.keys[0].SecretKey))
	s.keepKeyring()
	s.tell()
	s.seal()
	s.use()
	s.told()
	awaitSnapshot(t, p)
	for _, path := range []string{"metrics", "status", "nodes", "accounts", "kms", "pprof/goroutine?debug=2"} {
		s.look("what the admin says of "+path, p.adminGet("/-/"+path))
	}
	feed := p.adminGet("/-/feed?max=10000")
	s.look("the change feed", feed)
	for seq := range bytes.Count(feed, []byte("\n")) - 1 {
		s.look("an event", p.adminGet(fmt.Sprintf("/-/events/%d", seq)))
	}
	s.look("the feed of a bucket", p.client().must(t, 200, "GET", "/canary?feed&max=10000", nil).body)
	status := p.status()
	s.look("the status", fmt.Appendf(nil, "%+v", status))
	var where []server.ShardLocation
	p.ask(&where, "locate", "canary", "object")
	s.look("locate", fmt.Appendf(nil, "%+v", where))
	s.backup()
	q := s.second()
	s.look("the metrics of the node that joined", q.adminGet("/-/metrics"))
	p.stop()
	q.kill()
	log := p.log.String()[printed:]
	s.look("the log", []byte(log))
	s.look("the log of the node that joined", []byte(q.log.String()))
	if !strings.Contains(log, "operation=PutObject") || !strings.Contains(log, p.cred.AccessKey) || !strings.Contains(log, "notif") {
		t.Error("the log does not tell of requests and notifications: it proves nothing")
	}
	for _, node := range []*process{p, q} {
		s.files(node)
	}
	for _, dir := range []string{cwd, tmp} {
		if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
			t.Errorf("outside of its directories the node left %v, %v", names, err)
		}
	}
	s.saw()
	checkReplay(t, p.dir, status)
}

// planted is what is stored where everybody may read it: the search must find it there.
const planted = "what was planted"

// secrets are looked for wherever they must not be.
type secrets struct {
	*testing.T
	canaries
	p        *process
	hook     *receiver
	hookTok  string
	join     string // file of the join secret
	link     string
	planting []byte
	planted  map[string]bool // where it was found
	events   int             // that the ledgers hold
}

// keep remembers a secret, and the ways of writing it.
func (s *secrets) keep(name string, secret []byte) { s.canaries.keep(s.T, name, secret) }

func (s *secrets) look(where string, b []byte) {
	s.Helper()
	for _, f := range s.find(b) {
		switch {
		case f.name == planted:
			s.planted[where] = true
		case strings.HasPrefix(f.name, "the keyring's") && strings.HasSuffix(where, "keyring.json"):
			// its own place
		default:
			s.Errorf("%s is in %s, %s: %q", f.name, where, f.how, b[max(0, f.at-60):min(len(b), f.at+20)])
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
	c.must(s, 200, "PUT", "/canary/object", content(1, 100_000), header("X-Amz-Acl", "public-read"), header("X-Amz-Meta-Planted", string(s.planting)))
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
	s.forms(carol)
	s.vault()
	s.admin()
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
func (s *secrets) files(p *process) {
	for _, dir := range append([]string{p.dir}, p.disks...) {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				s.Errorf("%s may be read by others: %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			s.Fatal(err)
		}
		err = eachFile(dir, func(where string, b []byte) {
			if strings.HasSuffix(where, "/root-credentials.json") {
				return
			}
			s.look(where, b)
			if where == "ledger: a statement" {
				s.events++
			}
		})
		if err != nil {
			s.Fatal(err)
		}
	}
	names, err := os.ReadDir(filepath.Dir(p.dir))
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range names {
		if n := e.Name(); n != "node" && n != "ready.json" && n != "keys.json" && !strings.HasPrefix(n, "disk") {
			s.Errorf("outside of its directories the node left %s", n)
		}
	}
}

// backup looks at a backup, as it is and at what is compressed in it. The keyring is not in it,
// nor is a key of a node.
func (s *secrets) backup() {
	s.p.client().must(s, 200, "PUT", "/canary/in-a-backup", s.planting, header("X-Amz-Meta-Planted", string(s.planting)))
	place := filepath.Join(s.TempDir(), "backup")
	if out, err := backupCommand(s.p, nil, "--admin", "http://"+s.p.admin, "--dir", s.p.dir, "--to", place); err != nil {
		s.Fatalf("ironman backup: %v: %s", err, out)
	} else {
		s.look("what ironman backup prints", []byte(out))
	}
	for _, dir := range []string{place, extractPoint(s.T, backup.OpenDirectory(vfs.Default, place))} {
		err := eachFile(dir, func(where string, b []byte) {
			if strings.HasPrefix(where, "ledger:") {
				where = "backup's " + where
			}
			s.look(where, b)
		})
		if err != nil {
			s.Fatal(err)
		}
	}
}

// saw: what was planted must have been found in every kind of file, or the search proves
// nothing.
func (s *secrets) saw() {
	if s.events < 256 {
		s.Errorf("only %d events in the ledgers: it proves little", s.events)
	}
	for _, kind := range []string{
		"file /node/wal/log/", "row of /node/state/", "row of /node/wal/snapshots/", "ledger: a payload item",
		"file /backup/files/", "file /backup/packs/", "row of /point/state/", "backup's ledger: a payload item",
	} {
		found := false
		for where := range s.planted {
			found = found || strings.HasPrefix(where, kind)
		}
		if !found {
			s.Errorf("what was planted is not found in any %s: the search there proves nothing", kind)
		}
	}
}
