package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

// told is what one record of a notification says.
type told struct {
	Name      string `json:"eventName"`
	Region    string `json:"awsRegion"`
	Principal struct {
		ID string `json:"principalId"`
	} `json:"userIdentity"`
	S3 struct {
		Rule   string `json:"configurationId"`
		Bucket struct {
			Name string `json:"name"`
			ARN  string `json:"arn"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"eTag"`
			Version   string `json:"versionId"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"s3"`
}

// receiver is a webhook of the test.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	down   bool
	denied int // while it was down
	tokens []string
	all    []told
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		var m struct{ Records []told }
		if err := json.NewDecoder(hr.Body).Decode(&m); err != nil || len(m.Records) == 0 {
			t.Errorf("a message without records: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.down {
			r.denied++
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.tokens = append(r.tokens, hr.Header.Get("Authorization"))
		r.all = append(r.all, m.Records...)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) setDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// refusals is how many messages came while it was down.
func (r *receiver) refusals() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.denied
}

func (r *receiver) received() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// await waits until so many different records came, and returns all that did.
func (r *receiver) await(t testing.TB, n int) []told {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := r.received()
		if got := distinct(all); got >= n {
			return all
		} else if time.Now().After(end) {
			t.Fatalf("%d of %d notifications came", got, n)
		}
	}
}

func distinct(all []told) int {
	seen := make(map[string]bool)
	for i := range all {
		seen[all[i].S3.Object.Sequencer] = true
	}
	return len(seen)
}

func notification(id, prefix string, events ...string) []byte {
	return fmt.Appendf(nil, `<NotificationConfiguration><QueueConfiguration><Id>%s</Id><Queue>arn:ironman:sqs::hook:webhook</Queue><Event>%s</Event>`+
		`<Filter><S3Key><FilterRule><Name>prefix</Name><Value>%s</Value></FilterRule></S3Key></Filter></QueueConfiguration></NotificationConfiguration>`,
		id, strings.Join(events, "</Event><Event>"), prefix)
}

// TestNotify tells a target of each kind of change that it wants to hear of, and of
// nothing else, in their order.
func TestNotify(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	mem := vfs.NewMem()
	p := openInProcess(t, mem, "/notify", func(o *server.Options) {
		o.Webhooks = map[string]server.Webhook{"hook": {URL: hook.URL + "/x?y", Token: sig.NewSecret("a token")}}
		o.NotifyPrivate = true
	})
	c := p.client()
	c.must(t, 200, "PUT", "/notify", nil)
	c.must(t, 200, "PUT", "/notify/a/before", nil)
	c.refused(t, 400, "InvalidArgument", "PUT", "/notify?notification", []byte(strings.Replace(string(notification("r", "a/", "s3:ObjectCreated:*")), ":hook:", ":other:", 1)))
	c.must(t, 200, "PUT", "/notify?notification", notification("rule", "a/", "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*"))
	c.must(t, 200, "PUT", "/notify/b/other", nil)
	c.must(t, 200, "PUT", "/notify/a/1%20%C3%BC", []byte("12345"))
	c.must(t, 200, "PUT", "/notify/a/2", nil, func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/notify/a/1%20%C3%BC") })
	c.must(t, 204, "DELETE", "/notify/a/2", nil)
	c.must(t, 204, "DELETE", "/notify/a/none", nil)
	c.must(t, 200, "PUT", "/notify?versioning", []byte(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`))
	version := c.must(t, 200, "PUT", "/notify/a/3", []byte("v")).header.Get("X-Amz-Version-Id")
	c.must(t, 200, "PUT", "/notify/a/3?tagging", []byte(`<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>`))
	c.must(t, 204, "DELETE", "/notify/a/3?tagging", nil)
	c.must(t, 204, "DELETE", "/notify/a/3", nil)
	c.must(t, 204, "DELETE", "/notify/a/3?versionId="+version, nil)
	all := hook.await(t, 8)
	want := []string{
		"ObjectCreated:Put a/1 ü 5", "ObjectCreated:Copy a/2 5", "ObjectRemoved:Delete a/2 0", "ObjectCreated:Put a/3 1", "ObjectTagging:Put a/3 0",
		"ObjectTagging:Delete a/3 0", "ObjectRemoved:DeleteMarkerCreated a/3 0", "ObjectRemoved:Delete a/3 0",
	}
	var got []string
	last := ""
	for _, x := range all {
		key, err := url.QueryUnescape(x.S3.Object.Key)
		if err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%s %s %d", x.Name, key, x.S3.Object.Size))
		if x.S3.Object.Sequencer <= last || x.S3.Rule != "rule" || x.S3.Bucket.Name != "notify" || x.S3.Bucket.ARN != "arn:aws:s3:::notify" || x.Region != region {
			t.Errorf("%+v", x)
		}
		last = x.S3.Object.Sequencer
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, not %q", got, want)
	}
	if all[3].S3.Object.Version != version || all[3].S3.Object.ETag != "9e3669d19b675bd57058fd4664205d2a" || all[0].S3.Object.Version != "" {
		t.Errorf("versions and entity tags: %+v, %+v", all[3], all[0])
	}
	if hook.tokens[0] != "Bearer a token" {
		t.Errorf("it came with %q", hook.tokens[0])
	}

	// One that is taken away and put again begins anew.
	c.must(t, 200, "PUT", "/notify?notification", []byte(`<NotificationConfiguration/>`))
	time.Sleep(5 * time.Second) // the notifier looks every second, later on a busy machine
	c.must(t, 200, "PUT", "/notify/a/unheard", nil)
	c.must(t, 200, "PUT", "/notify?notification", notification("rule", "a/", "s3:ObjectCreated:*"))
	c.must(t, 200, "PUT", "/notify/a/heard", nil)
	all = hook.await(t, 9)
	if got := all[len(all)-1].S3.Object.Key; got != "a%2Fheard" || len(all) != 9 {
		t.Errorf("told of %q as number %d", got, len(all))
	}
}

// TestNotifyPrivate: a target at an address that only this network can reach is not
// reached, whatever its name is.
func TestNotifyPrivate(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	_, port, err := net.SplitHostPort(hook.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := openInProcess(t, vfs.NewMem(), "/private", func(o *server.Options) {
		o.Webhooks = map[string]server.Webhook{"hook": {URL: "http://localhost:" + port}}
	})
	c := p.client()
	c.must(t, 200, "PUT", "/private", nil)
	c.must(t, 200, "PUT", "/private?notification", notification("rule", "", "s3:ObjectCreated:*"))
	c.must(t, 200, "PUT", "/private/a", nil)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(string(p.adminGet(t, "/-/metrics")), `ironman_notifications_total{result="failed"}`); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it was not tried")
		}
	}
	if n := len(hook.received()); n != 0 {
		t.Errorf("%d notifications reached it", n)
	}
}

// TestClusterNotify takes the target away, goes on writing, kills the node that leads,
// and lets both come back: each change arrives, those of each key in their order.
func TestClusterNotify(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	c := startTrio(t, "--notify", "hook="+hook.URL, "--notify-private")
	a := c.clients[0]
	a.must(t, 200, "PUT", "/told", nil)
	a.must(t, 200, "PUT", "/told?notification", notification("all", "k", "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
	const keys, rounds = 5, 30
	sent := 0
	write := func(i, round int) {
		t.Helper()
		target := fmt.Sprintf("/told/k%d", i)
		c.await("a write", func() error {
			// With another size each time: what came is told apart by it.
			x, err := c.clients[(round+i)%3].try("PUT", target, make([]byte, round))
			if err == nil && x.status != 200 {
				err = fmt.Errorf("%v", x)
			}
			return err
		})
		sent++
	}
	for round := range rounds {
		switch round {
		case 5:
			hook.await(t, sent)
			hook.setDown(true)
		case 15:
			leader := c.leader(0, 1, 2)
			c.nodes[leader].kill()
			c.nodes[leader].start()
		case 25:
			c.await("a notification that is not taken", func() error {
				if hook.refusals() == 0 {
					return errors.New("none was tried")
				}
				return nil
			})
			hook.setDown(false)
		}
		for i := range keys {
			write(i, round)
		}
	}
	all := hook.await(t, sent)
	// A write that was tried again may have been done twice, so sizes repeat, but never
	// fall; and what was told twice may begin again where it was.
	heard := make(map[string]int64)
	sequencer := make(map[string]string)
	rewound := 0
	for _, x := range all {
		k := x.S3.Object.Key
		if x.S3.Object.Sequencer <= sequencer[k] {
			rewound++
			continue
		}
		if x.S3.Object.Size < heard[k] || x.S3.Object.Size > heard[k]+1 {
			t.Errorf("%s: %d bytes after %d", k, x.S3.Object.Size, heard[k])
		}
		heard[k], sequencer[k] = x.S3.Object.Size, x.S3.Object.Sequencer
	}
	for i := range keys {
		if k := fmt.Sprintf("k%d", i); heard[k] != rounds-1 {
			t.Errorf("%s was last heard of with %d bytes", k, heard[k])
		}
	}
	t.Logf("%d writes, %d notifications, %d of them again, %d not taken", sent, len(all), rewound, hook.refusals())
}
