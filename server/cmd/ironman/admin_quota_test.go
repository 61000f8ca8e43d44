package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	oneHolding = `{"bucket":"b","account":"000000000001","objects":3,"bytes":1536,"noncurrent":2,"noncurrent_bytes":2048,"uploads":1,"part_bytes":5,
		"counted_objects":5,"counted_bytes":3589,"quota":{"bytes":10737418240},"left":{"bytes":10737414651}}`
	oneAccount = `{"account":"000000000001","name":"root","objects":3,"bytes":0,"noncurrent":0,"noncurrent_bytes":0,"uploads":0,"part_bytes":0,
		"counted_objects":3,"counted_bytes":0,"quota":{"objects":4},"left":{"objects":1}}`
)

// admin runs `ironman admin` against a node that answers as it is told, and returns what
// the node was asked and what was printed.
func admin(t *testing.T, answers map[string]string, args ...string) (asked []string, printed string, err error) {
	t.Helper()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := r.Method + " " + r.URL.String()
		asked = append(asked, line)
		if access, secret, _ := r.BasicAuth(); access != "an-access-key" || secret != "a-secret-key" {
			http.Error(w, "who is it?", http.StatusUnauthorized)
			return
		}
		if answers[line] == "" {
			http.Error(w, "no such thing", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, answers[line])
	}))
	defer node.Close()
	t.Setenv("IRONMAN_ROOT_ACCESS_KEY", "an-access-key")
	t.Setenv("IRONMAN_ROOT_SECRET_KEY", "a-secret-key")
	var out bytes.Buffer
	c := rootCommand()
	c.SetOut(&out)
	c.SetErr(io.Discard)
	c.SetArgs(append([]string{"admin", "--admin", node.URL}, args...))
	err = c.Execute()
	return asked, out.String(), err
}

// TestQuotaCommands: what is asked of the node, and what is printed of its answer.
func TestQuotaCommands(t *testing.T) {
	const set = "POST /-/quotas/set?"
	for _, c := range []struct {
		args  string
		asked string
		// fails says why nothing is asked for, or nothing is printed.
		fails string
	}{
		{"show --bucket b", "GET /-/quotas?bucket=b", ""},
		{"show --account 000000000001", "GET /-/quotas?account=000000000001", ""},
		{"set --bucket b --size 10GiB", set + "bucket=b&bytes=10737418240", ""},
		{"set --bucket b --size 5kB --objects 7", set + "bucket=b&bytes=5000&objects=7", ""},
		{"set --account 000000000001 --objects 0", set + "account=000000000001&objects=0", ""},
		{"remove --bucket b", set + "bucket=b&bytes=0&objects=0", ""},
		{"set --bucket b", "", "size objects"},
		{"set --size 1GiB", "", "bucket account"},
		{"remove", "", "bucket account"},
		{"set --bucket b --account 000000000001 --size 1", "", "bucket account"},
		{"set --bucket b --size much", "", "such as 500MiB"},
		{"set --bucket b --size -1", "", "such as 500MiB"},
		{"set --bucket b --objects -1", "", "invalid"},
	} {
		asked, printed, err := admin(t, map[string]string{c.asked: oneHolding}, append([]string{"quota"}, strings.Fields(c.args)...)...)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) || len(asked) > 0 {
				t.Errorf("%s: asked %q, %v", c.args, asked, err)
			}
			continue
		}
		if err != nil || len(asked) != 1 || asked[0] != c.asked || !strings.Contains(printed, "10 GiB") {
			t.Errorf("%s: asked %q, printed %q, %v", c.args, asked, printed, err)
		}
	}
	if _, _, err := admin(t, nil, "quota", "show", "--bucket", "none"); err == nil || !strings.Contains(err.Error(), "404 Not Found: no such thing") {
		t.Errorf("of no bucket: %v", err)
	}
}

// TestQuotaTables: all accounts, then all buckets, page by page; as JSON, one document.
func TestQuotaTables(t *testing.T) {
	answers := map[string]string{
		"GET /-/quotas/accounts?":       "[" + oneAccount + "]",
		"GET /-/quotas/buckets?above=":  `{"buckets":[` + oneHolding + `],"more":true}`,
		"GET /-/quotas/buckets?above=b": `{"buckets":[` + strings.Replace(oneHolding, `"b"`, `"c"`, 1) + `],"more":true}`,
		"GET /-/quotas/buckets?above=c": `{"buckets":[],"more":false}`,
	}
	want := `
ACCOUNT       NAME  OBJECTS  SIZE  NONCURRENT  SIZE  UPLOADS  SIZE  QUOTA OBJECTS  LEFT  QUOTA SIZE  LEFT
000000000001  root  3        0 B   0           0 B   0        0 B   4              1     -           -

BUCKET  ACCOUNT       OBJECTS  SIZE     NONCURRENT  SIZE   UPLOADS  SIZE  QUOTA OBJECTS  LEFT  QUOTA SIZE  LEFT
b       000000000001  3        1.5 KiB  2           2 KiB  1        5 B   -              -     10 GiB      10.0 GiB

BUCKET  ACCOUNT       OBJECTS  SIZE     NONCURRENT  SIZE   UPLOADS  SIZE  QUOTA OBJECTS  LEFT  QUOTA SIZE  LEFT
c       000000000001  3        1.5 KiB  2           2 KiB  1        5 B   -              -     10 GiB      10.0 GiB
`
	_, printed, err := admin(t, answers, "quota", "show")
	if err != nil || "\n"+printed != want {
		t.Errorf("printed\n%s\n%v; want\n%s", printed, err, want)
	}
	_, printed, err = admin(t, answers, "--json", "quota", "show")
	if err != nil || strings.Count(printed, `"counted_bytes": 3589`) != 2 || strings.Count(printed, `"name": "root"`) != 1 {
		t.Errorf("printed %s, %v", printed, err)
	}
	answers["GET /-/quotas/buckets?above=c"] = `{"buckets":[],"more":true}` // which would never end
	if _, _, err := admin(t, answers, "quota", "show"); err == nil {
		t.Error("a page of nothing was not the last")
	}
}
