package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
)

// TestEraseScope: of each event goes what is about the keys that are named, in every bucket
// that ever had the name, and nothing else.
func TestEraseScope(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "scope", func(o *server.Options) { o.HistoryRetention = 0 })
	c, ctx := p.client(), t.Context()
	seqs := make(map[string]uint64)
	at := func(name string, a *answer) {
		var seq uint64
		if _, err := fmt.Sscan(a.header.Get("X-Ironman-Sequence"), &seq); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seqs[name] = seq
	}
	c.must(t, 200, "PUT", "/one", nil)
	c.must(t, 200, "PUT", "/two", nil)
	at("put", c.must(t, 200, "PUT", "/one/gone", content(1, 10), header("X-Amz-Meta-M", "v"), header("X-Amz-Tagging", "k=v")))
	at("other bucket", c.must(t, 200, "PUT", "/two/gone", content(1, 10)))
	at("copy from", c.must(t, 200, "PUT", "/two/copy", nil, header("X-Amz-Copy-Source", "/one/gone")))
	at("transaction", c.must(t, 200, "POST", "/two?transaction", []byte(`{"operations":[
		{"copy":{"key":"t1","source":{"bucket":"two","key":"gone"}}},{"copy":{"key":"t2","source":{"bucket":"one","key":"gone"}}},{"delete":{"key":"none"}}]}`)))
	at("copy to", c.must(t, 200, "PUT", "/one/gone", nil, header("X-Amz-Copy-Source", "/two/copy")))
	at("stays", c.must(t, 200, "PUT", "/one/stays", content(1, 10)))
	at("rename", c.must(t, 200, "PUT", "/one/renamed?renameObject", []byte{}, header("X-Amz-Rename-Source", "gone")))
	at("tagging", c.must(t, 200, "PUT", "/one/stays?tagging", []byte(`<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>`)))
	c.must(t, 200, "PUT", "/one/gone", content(1, 10))
	body := []byte(`<Delete><Object><Key>stays</Key></Object><Object><Key>gone</Key></Object><Object><Key>renamed</Key></Object></Delete>`)
	at("delete many", c.must(t, 200, "POST", "/one?delete", body, header("Content-Md5", contentMD5(body))))
	c.must(t, 204, "DELETE", "/one", nil)
	c.must(t, 200, "PUT", "/one", nil)
	at("put again", c.must(t, 200, "PUT", "/one/gone", content(1, 10)))

	erase := &server.Erase{Bucket: "one", Keys: []string{"gone"}}
	silent := func(uint64, uint64) {}
	if _, err := p.node.Erase(ctx, erase, silent); err == nil || !strings.Contains(err.Error(), `"gone" exists`) {
		t.Fatalf("of a key that exists in the newest bucket of the name: %v", err)
	}
	c.must(t, 204, "DELETE", "/one/gone", nil)
	plan, err := p.node.Erase(ctx, erase, silent)
	if err != nil || len(plan.Buckets) != 2 || len(plan.Erasures) != 1 || plan.Payloads != 9 {
		t.Fatalf("%+v, %v", plan, err)
	}
	for name, want := range map[string]string{
		"put": "key- headers- tags- client-", "other bucket": "key client", "copy from": "key source_key- headers tags client",
		"transaction": "key source_key key source_key- headers tags key client", "copy to": "key- source_key- headers- tags- client-", "stays": "key client", "rename": "key source_key- client", "tagging": "key tags client",
		"delete many": "key key- key client-", "put again": "key- client-",
	} {
		d, err := p.node.Detail(ctx, seqs[name])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, kind := range strings.Fields(want) {
			switch {
			case i >= len(d.Items):
			case d.Items[i].Erased:
				got = append(got, strings.TrimSuffix(kind, "-")+"-") // what it was is not told
			default:
				got = append(got, d.Items[i].Kind)
			}
		}
		if strings.Join(got, " ") != want || len(got) != len(d.Items) {
			t.Errorf("%s: %q of %d items, want %s", name, got, len(d.Items), want)
		}
		if slices.Contains(d.Keys, "gone") && name != "other bucket" {
			t.Errorf("%s tells %q", name, d.Keys)
		}
	}
	// A node alone carries it out, too.
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		x, err := p.node.Erasures(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if x.Done() && len(x.Erasures) == 1 && x.Erasures[0].Seq == plan.Erasures[0] {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("it is not carried out: %+v", x)
		}
	}
	// Who may ask, and how.
	post := func(body string, root bool) (int, string) {
		r, err := http.NewRequestWithContext(ctx, "POST", p.admin+"/-/erasures", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if root {
			r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
		}
		a, err := c.send(r)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(bytes.TrimSpace(a.body), []byte("\n"))
		var last struct {
			Error  string
			Status int
		}
		if a.status == 200 {
			if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
				t.Fatal(err)
			}
			return last.Status, last.Error
		}
		return a.status, string(a.body)
	}
	many, _ := json.Marshal(make([]string, 1001))
	for body, want := range map[string]int{
		`{"bucket":"one","keys":["gone"]}`: 0, `{"bucket":"one"}`: 400, `{"keys":["k"]}`: 400, `{"bucket":"one","keys":[""]}`: 400,
		`{"bucket":"never","keys":["k"]}`: 404, `{"bucket":"two","keys":["copy"]}`: 409, `{"bucket":"one","keys":["k"],"unknown":1}`: 400,
		`nothing`: 400, `{"bucket":"one","keys":` + string(many) + `}`: 400, `{"bucket":"#0","prefix":"x"}`: 404,
	} {
		if got, text := post(body, true); got != want {
			t.Errorf("%.60s is answered %d: %s", body, got, text)
		}
	}
	if got, _ := post(`{"bucket":"one","keys":["gone"]}`, false); got != 401 {
		t.Errorf("without credentials the answer is %d", got)
	}
}
