package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/server"
	"ironman/server/audit"
)

// golden is what a ledger that an earlier release made must come to, for ever.
type golden struct {
	Key         string
	Events      uint64
	StateDigest string
	LedgerRoot  string
	Kinds       map[string]int
}

// TestGoldenLedgers: every ledger below testdata/ledgers, each made by a release and never
// made again, verifies and replays to what it came to then.
// IRONMAN_GOLDEN=NAME makes a new one.
func TestGoldenLedgers(t *testing.T) {
	t.Parallel()
	if name := os.Getenv("IRONMAN_GOLDEN"); name != "" {
		makeGolden(t, filepath.Join("testdata", "ledgers", name))
	}
	dirs, err := filepath.Glob("testdata/ledgers/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("there are no golden ledgers", err)
	}
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
		if err != nil {
			t.Fatal(err)
		}
		var want golden
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		ledger := filepath.Join(dir, "ledger")
		if v, err := audit.VerifyExport(t.Context(), vfs.Default, ledger, want.Key, nil); err != nil || !v.Payloads || uint64(v.Tree.N) != want.Events {
			t.Errorf("%s: %+v, %v", dir, v, err)
			continue
		}
		if got := comesTo(t, ledger, want.Key); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s comes to %+v, it came to %+v", dir, got, want)
		}
	}
}

// comesTo reads and replays an exported ledger.
func comesTo(t *testing.T, dir, key string) golden {
	t.Helper()
	x, err := audit.OpenExport(vfs.Default, dir, key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x.Replay(t.Context(), emptyState(t), x.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := golden{Key: key, Events: r.Events, StateDigest: r.StateDigest, LedgerRoot: r.LedgerRoot, Kinds: make(map[string]int)}
	if err := x.Log(t.Context(), audit.Filter{}, func(e *audit.Entry) error { g.Kinds[e.Kind]++; return nil }); err != nil {
		t.Fatal(err)
	}
	return g
}

// makeGolden makes a ledger of what clients do, with more than one bundle and a part of
// another.
func makeGolden(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		t.Fatalf("%s is there: a golden ledger is never made again", dir)
	}
	fs := vfs.NewMem()
	p := openInProcess(t, fs, "/golden")
	c := p.client()
	c.must(t, 200, "PUT", "/plain", nil)
	c.must(t, 200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	for i := range 130 {
		c.must(t, 200, "PUT", fmt.Sprintf("/plain/k%d", i%40), []byte(fmt.Sprint("text ", i)), header("X-Amz-Meta-Number", fmt.Sprint(i)))
		c.must(t, 200, "PUT", fmt.Sprintf("/locked/k%d", i%20), []byte(fmt.Sprint("version ", i)), header("X-Amz-Tagging", "n=1"))
		if i%10 == 0 {
			c.must(t, 204, "DELETE", fmt.Sprintf("/plain/k%d", i%40), nil)
			c.must(t, 204, "DELETE", fmt.Sprintf("/locked/k%d", i%20), nil)
		}
	}
	c.must(t, 200, "PUT", "/plain/k1?tagging", []byte("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"))
	c.must(t, 200, "PUT", "/plain/k1?acl", nil, header("X-Amz-Acl", "public-read"))
	c.must(t, 200, "PUT", "/plain?acl", nil, header("X-Amz-Acl", "public-read"))
	c.must(t, 204, "PUT", "/plain?policy", rules(rule("Allow", everybody, "s3:GetObject", "plain/*", "")))
	c.must(t, 200, "PUT", "/locked/k1?legal-hold", []byte("<LegalHold><Status>ON</Status></LegalHold>"))
	c.must(t, 200, "PUT", "/locked/k1?retention", []byte("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>"))
	c.must(t, 200, "PUT", "/plain/copy", []byte{}, header("X-Amz-Copy-Source", "/locked/k2"))
	c.must(t, 200, "PUT", "/plain/renamed?renameObject", []byte{}, header("X-Amz-Rename-Source", "k3"))
	c.must(t, 200, "PUT", "/plain/grows", []byte("1"), header("X-Amz-Write-Offset-Bytes", "0"))
	c.must(t, 200, "PUT", "/plain/grows", []byte("2"), header("X-Amz-Write-Offset-Bytes", "1"))
	c.must(t, 200, "PUT", "/plain/sealed", []byte("sealed"), func(r *http.Request) { r.Header.Set("X-Amz-Server-Side-Encryption", "AES256") })
	part := []byte("part")
	id := c.begin(t, "/plain/parts")
	c.must(t, 200, "PUT", "/plain/parts?partNumber=1&uploadId="+id, part)
	c.must(t, 200, "POST", "/plain/parts?uploadId="+id, completion(etagXML(part)))
	id = c.begin(t, "/plain/left")
	c.must(t, 204, "DELETE", "/plain/left?uploadId="+id, nil)
	c.must(t, 200, "POST", "/plain?delete", []byte("<Delete><Object><Key>k5</Key></Object><Object><Key>none</Key></Object></Delete>"))
	c.must(t, 200, "PUT", "/gone", nil)
	c.must(t, 204, "DELETE", "/gone", nil)
	p.close(t)

	n, err := audit.Open(audit.Options{FS: fs, Dir: "/golden/node", Signer: func(origin string) (note.Signer, error) {
		return server.LedgerSigner(fs, "/golden/node", origin, false)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ledger := filepath.Join(dir, "ledger")
	if err := n.Export(t.Context(), vfs.Default, ledger, 0, true); err != nil {
		t.Fatal(err)
	}
	closed(t, n)
	b, err := json.MarshalIndent(comesTo(t, ledger, n.Key), "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "expected.json"), append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
