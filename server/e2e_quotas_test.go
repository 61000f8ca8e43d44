package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

// quotas asks the admin listener of a node.
type quotas struct {
	*testing.T
	p *inProcess
}

func (q quotas) ask(method, path string) *answer {
	q.Helper()
	r, err := http.NewRequestWithContext(q.Context(), method, q.p.admin+path, nil)
	if err != nil {
		q.Fatal(err)
	}
	r.SetBasicAuth(q.p.cred.AccessKey, string(q.p.cred.Secret.Reveal()))
	a, err := q.p.client().send(r)
	if err != nil {
		q.Fatal(err)
	}
	return a
}

// want asks, and wants what is held of what may be.
func (q quotas) want(method, path, held string) {
	q.Helper()
	var h server.Holding
	a := q.ask(method, path)
	if a.status != 200 || json.Unmarshal(a.body, &h) != nil || heldText(h) != held {
		q.Errorf("%s %s: want %s, got %s of %v", method, path, held, heldText(h), a)
	}
}

// heldText is what quotas count, and in brackets bound and rest of each.
func heldText(h server.Holding) string {
	bound := func(b, left *uint64) string {
		if b == nil || left == nil {
			return ""
		}
		return fmt.Sprintf("(%d,%d)", *b, *left)
	}
	return fmt.Sprintf("%d%s objects, %d%s bytes", h.CountedObjects, bound(h.Quota.Objects, h.Left.Objects), h.CountedBytes, bound(h.Quota.Bytes, h.Left.Bytes))
}

// TestQuotas: an operator bounds a bucket and an account, sees what is left, and clients
// are refused what would go beyond.
func TestQuotas(t *testing.T) {
	key := randomKey("alice")
	p := openInProcess(t, vfs.NewMem(), "/", func(o *server.Options) { o.Keys = []server.KeySpec{key} })
	q, c, alice := quotas{t, p}, p.client(), p.client()
	alice.cred = sig.Credential{AccessKey: key.AccessKey, Secret: sig.NewSecret(key.SecretKey)}
	const ofAlice = "account=000000000002"
	thousand := content(1, 1000)
	c.must(t, 200, "PUT", "/bound", nil)
	c.must(t, 200, "PUT", "/bound/a", thousand)
	q.want("GET", "/-/quotas?bucket=bound", "1 objects, 1000 bytes")

	q.want("POST", "/-/quotas/set?bucket=bound&bytes=1500", "1 objects, 1000(1500,500) bytes")
	events := p.events(t)
	c.refused(t, 403, "QuotaExceeded", "PUT", "/bound/b", thousand)
	c.refused(t, 403, "QuotaExceeded", "PUT", "/bound/a", thousand[:501], header("X-Amz-Write-Offset-Bytes", "1000"))
	if n := p.events(t); n != events {
		t.Errorf("%d events of what was seen to be beyond the quota", n-events)
	}
	c.must(t, 200, "PUT", "/bound/a", thousand) // no more than before
	c.must(t, 200, "PUT", "/bound/b", thousand[:400])
	id := c.begin(t, "/bound/parts")
	c.must(t, 200, "PUT", "/bound/parts?partNumber=1&uploadId="+id, thousand[:60])
	c.refused(t, 403, "QuotaExceeded", "PUT", "/bound/parts?partNumber=2&uploadId="+id, thousand[:60])
	q.want("POST", "/-/quotas/set?bucket=bound&objects=2", "2(2,0) objects, 1460(1500,40) bytes") // the other bound stays
	c.refused(t, 403, "QuotaExceeded", "POST", "/bound/parts?uploadId="+id, completion(etagXML(thousand[:60])))
	c.refused(t, 403, "QuotaExceeded", "PUT", "/bound/c", []byte{}, header("X-Amz-Copy-Source", "/bound/b"))
	q.want("POST", "/-/quotas/set?bucket=bound&bytes=100", "2(2,0) objects, 1460(100,0) bytes") // what is there stays
	c.must(t, 204, "DELETE", "/bound/b", nil)
	events = p.events(t)
	q.want("POST", "/-/quotas/set?bucket=bound&bytes=0&objects=0", "1 objects, 1060 bytes")
	q.want("POST", "/-/quotas/set?bucket=bound&bytes=0&objects=0", "1 objects, 1060 bytes") // which is so already
	if n := p.events(t); n != events+1 {
		t.Errorf("%d events ended a quota", n-events)
	}
	c.must(t, 200, "PUT", "/bound/b", thousand)

	alice.must(t, 200, "PUT", "/first", nil)
	alice.must(t, 200, "PUT", "/first/a", thousand)
	alice.must(t, 200, "PUT", "/second", nil)
	q.want("GET", "/-/quotas?"+ofAlice, "1 objects, 1000 bytes")
	q.want("POST", "/-/quotas/set?bytes=1500&"+ofAlice, "1 objects, 1000(1500,500) bytes")
	alice.refused(t, 403, "QuotaExceeded", "PUT", "/second/b", thousand)
	alice.must(t, 200, "PUT", "/second/b", thousand[:500])
	q.want("GET", "/-/quotas?"+ofAlice, "2 objects, 1500(1500,0) bytes")
	q.want("GET", "/-/quotas?bucket=second", "1 objects, 500 bytes")
	q.lists()
	q.races(c)
	if m := string(p.adminGet(t, "/-/metrics")); !strings.Contains(m, "\nironman_s3_errors_total{code=\"QuotaExceeded\"} 9\n") {
		t.Error("requests beyond a quota are not counted")
	}
}

func (p *inProcess) events(t *testing.T) uint64 {
	t.Helper()
	var s server.Status
	if err := json.Unmarshal(p.adminGet(t, "/-/status"), &s); err != nil {
		t.Fatal(err)
	}
	return s.Events
}

// races: what a view had room for is decided in the log's order, and versions count.
func (q quotas) races(c *client) {
	q.Helper()
	c.must(q, 200, "PUT", "/race", nil)
	c.must(q, 200, "PUT", "/race/a", content(2, 100))
	q.want("POST", "/-/quotas/set?bucket=race&bytes=250", "1 objects, 100(250,150) bytes")
	raced := false
	q.p.node.InterposeForTest(func(context.Context) {
		if !raced {
			raced = true
			c.must(q, 200, "PUT", "/race/b", content(3, 100))
		}
	})
	if a := c.refused(q, 403, "QuotaExceeded", "PUT", "/race/c", content(4, 100)); a.header.Get(sequence) == "" {
		q.Error("a quota was not decided by an event")
	}
	q.p.node.InterposeForTest(nil)
	versioning := "<VersioningConfiguration><Status>%s</Status></VersioningConfiguration>"
	c.must(q, 200, "PUT", "/race?versioning", fmt.Appendf(nil, versioning, "Enabled"))
	c.refused(q, 403, "QuotaExceeded", "PUT", "/race/a", content(5, 100)) // the older version stays
	c.must(q, 200, "PUT", "/race/a", content(5, 50))
	c.must(q, 200, "PUT", "/race?versioning", fmt.Appendf(nil, versioning, "Suspended"))
	c.must(q, 200, "PUT", "/race/a", content(6, 100)) // in the place of the null version, which is not the current one
	c.refused(q, 403, "QuotaExceeded", "PUT", "/race/a", content(7, 101))
	q.want("GET", "/-/quotas?bucket=race", "3 objects, 250(250,0) bytes")
}

// lists wants all accounts, and all buckets in pages of any size.
func (q quotas) lists() {
	q.Helper()
	accounts, err := q.p.node.AccountHoldings(q.Context())
	if err != nil || len(accounts) != 2 {
		q.Fatalf("%+v, %v", accounts, err)
	}
	if root, alice := heldText(accounts[0]), heldText(accounts[1]); root != "2 objects, 2060 bytes" || alice != "2 objects, 1500(1500,0) bytes" {
		q.Errorf("root %s, alice %s", root, alice)
	}
	for max := 1; max <= 4; max++ {
		var names []string
		for more, above := true, ""; more; above = names[len(names)-1] {
			page, err := q.p.node.BucketHoldings(q.Context(), above, max)
			if err != nil || len(page.Buckets) == 0 || len(page.Buckets) > max {
				q.Fatalf("%+v, %v", page, err)
			}
			for _, b := range page.Buckets {
				names = append(names, b.Bucket)
			}
			more = page.More
		}
		if got := strings.Join(names, " "); got != "bound first second" {
			q.Errorf("pages of %d: %s", max, got)
		}
	}
	if a := q.ask("GET", "/-/quotas/buckets?above=first"); a.status != 200 || strings.Contains(string(a.body), `"first"`) || !strings.Contains(string(a.body), `"second"`) {
		q.Error(a)
	}
	if a := q.ask("GET", "/-/quotas/accounts"); a.status != 200 || !strings.Contains(string(a.body), `"name": "alice"`) {
		q.Error(a)
	}
}

// TestQuotasRefused: what is asked for wrongly changes nothing, and only root asks.
func TestQuotasRefused(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/")
	q := quotas{t, p}
	p.client().must(t, 200, "PUT", "/there", nil)
	events := p.events(t)
	for path, status := range map[string]int{
		"bucket=none&bytes=1": 404, "account=999999999999&bytes=1": 404, "account=there&bytes=1": 404,
		"bytes=1": 400, "bucket=there": 400, "bucket=there&account=000000000001&bytes=1": 400, "bucket=there&bytes=": 400,
		"bucket=there&bytes=-1": 400, "bucket=there&bytes=1GiB": 400, "bucket=there&objects=9223372036854775808": 400,
	} {
		if a := q.ask("POST", "/-/quotas/set?"+path); a.status != status {
			t.Errorf("%s: want %d, got %v", path, status, a)
		}
	}
	for path, status := range map[string]int{"?bucket=none": 404, "?account=999999999999": 404, "": 400, "?bucket=a&account=b": 400} {
		if a := q.ask("GET", "/-/quotas"+path); a.status != status {
			t.Errorf("%s: want %d, got %v", path, status, a)
		}
	}
	p.cred.Secret = sig.NewSecret("some other secret")
	for _, path := range []string{"GET /-/quotas?bucket=there", "GET /-/quotas/accounts", "GET /-/quotas/buckets", "POST /-/quotas/set?bucket=there&bytes=1"} {
		method, path, _ := strings.Cut(path, " ")
		if a := q.ask(method, path); a.status != 401 {
			t.Errorf("%s without the root key: %v", path, a)
		}
	}
	if s, err := p.node.Status(); err != nil || s.Events != events {
		t.Errorf("%d events before, now %+v, %v", events, s, err)
	}
}
