package server_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// register is what one request asks of a key.
type register struct {
	op    string // get, put, delete, create (If-None-Match), replace (If-Match)
	value string // written
	match string // the value that replace wants to be there
}

// outcome is what it was answered.
type outcome struct {
	status int
	value  string // read
}

// request is one request to a key, with when it began and ended.
type request struct {
	in        register
	out       outcome
	call, end time.Duration
}

// step is a key as a sequential register; "" is no object. ok is false where the
// answer cannot be that of a request to this state.
func (r *request) step(now string) (next string, ok bool) {
	in, out := r.in, r.out
	switch in.op {
	case "get":
		return now, out.status == 404 && now == "" || out.status == 200 && now != "" && out.value == now
	case "put":
		return in.value, out.status == 200
	case "delete":
		return "", out.status == 204
	case "create":
		if out.status == 200 {
			return in.value, now == ""
		}
		// 409: a concurrent change to the key; nothing was done.
		return now, out.status == 412 && now != "" || out.status == 409
	}
	if out.status == 200 {
		return in.value, now == in.match
	}
	return now, out.status == 412 && now != in.match || out.status == 404 && now == "" || out.status == 409
}

// linearizable looks for an order of all requests in which each comes between its
// beginning and its end and is answered as a register would: the search of Wing and
// Gong, which remembers where it has been. It gives the longest prefix it found.
func linearizable(h []*request) (ok bool, longest int) {
	slices.SortFunc(h, func(a, b *request) int { return cmp.Compare(a.call, b.call) })
	type place struct{ done, state string }
	seen := make(map[place]bool)
	done := make([]byte, len(h))
	var search func(from, count int, state string) bool
	search = func(from, count int, state string) bool {
		longest = max(longest, count)
		for from < len(h) && done[from] == 1 {
			from++
		}
		if from == len(h) {
			return true
		}
		at := place{string(done[from:]) + fmt.Sprint(from), state}
		if seen[at] {
			return false
		}
		seen[at] = true
		earliest := time.Duration(math.MaxInt64) // end of those that are not done
		for i := from; i < len(h) && h[i].call < earliest; i++ {
			if done[i] == 0 {
				earliest = min(earliest, h[i].end)
			}
		}
		for i := from; i < len(h) && h[i].call <= earliest; i++ {
			next, ok := h[i].step(state)
			if done[i] == 1 || !ok {
				continue
			}
			done[i] = 1
			if search(from, count+1, next) {
				return true
			}
			done[i] = 0
		}
		return false
	}
	return search(0, 0, ""), longest
}

// TestChecker: the search finds what is wrong.
func TestChecker(t *testing.T) {
	op := func(op, value string, status int, read string, call, end time.Duration) *request {
		return &request{register{op: op, value: value}, outcome{status, read}, call, end}
	}
	for name, tc := range map[string]struct {
		h  []*request
		ok bool
	}{
		"a stale read":          {[]*request{op("put", "a", 200, "", 0, 1), op("put", "b", 200, "", 2, 3), op("get", "", 200, "a", 4, 5)}, false},
		"a read of a writing":   {[]*request{op("put", "a", 200, "", 0, 1), op("put", "b", 200, "", 2, 9), op("get", "", 200, "a", 4, 5), op("get", "", 200, "b", 6, 7)}, true},
		"back in time":          {[]*request{op("put", "a", 200, "", 0, 1), op("put", "b", 200, "", 2, 9), op("get", "", 200, "b", 4, 5), op("get", "", 200, "a", 6, 7)}, false},
		"two winners":           {[]*request{op("create", "a", 200, "", 0, 5), op("create", "b", 200, "", 1, 6)}, false},
		"one winner":            {[]*request{op("create", "a", 200, "", 0, 5), op("create", "b", 412, "", 1, 6)}, true},
		"a lost delete":         {[]*request{op("put", "a", 200, "", 0, 1), op("delete", "", 204, "", 2, 3), op("get", "", 200, "a", 4, 5)}, false},
		"nobody wins, and lost": {[]*request{op("create", "a", 412, "", 0, 5)}, false},
	} {
		if ok, _ := linearizable(tc.h); ok != tc.ok {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

// TestLinearizable: every key behaves as if its requests came one after the other,
// each between its beginning and its answer.
func TestLinearizable(t *testing.T) {
	const clients, keys, requests = 8, 3, 300
	p := openInProcess(t, vfs.NewMem(), "/")
	p.client().must(t, 200, "PUT", "/linear", nil)
	histories := make([][]*request, keys)
	var mu sync.Mutex
	var wait sync.WaitGroup
	begin := time.Now()
	for client := range clients {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(client), 5))
			last := make([]string, keys) // what this client saw last
			for i := range requests {
				key := rng.IntN(keys)
				in := chooseRequest(rng, fmt.Sprintf("%d/%d", client, i), last[key])
				call := time.Since(begin)
				out, err := p.client().ask(in, fmt.Sprintf("/linear/%d", key))
				end := time.Since(begin)
				if err != nil {
					t.Error(err)
					return
				}
				if last[key] = out.value; in.op != "get" {
					last[key] = in.value
				}
				mu.Lock()
				histories[key] = append(histories[key], &request{in, out, call, end})
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for key, h := range histories {
		if ok, longest := linearizable(h); !ok {
			t.Errorf("the %d requests to key %d are not linearizable: only %d fit", len(h), key, longest)
		}
	}
}

func chooseRequest(rng *rand.Rand, value, last string) register {
	switch n := rng.IntN(10); {
	case n < 4:
		return register{op: "get"}
	case n < 6:
		return register{op: "put", value: value}
	case n < 7:
		return register{op: "delete"}
	case n < 8 || last == "":
		return register{op: "create", value: value}
	}
	return register{op: "replace", value: value, match: last}
}

// ask sends a register's request.
func (c *client) ask(in register, target string) (outcome, error) {
	var a *answer
	var err error
	switch in.op {
	case "get":
		a, err = c.try("GET", target, nil)
	case "delete":
		a, err = c.try("DELETE", target, nil)
	case "put":
		a, err = c.try("PUT", target, []byte(in.value))
	case "create":
		a, err = c.try("PUT", target, []byte(in.value), header("If-None-Match", "*"))
	default:
		a, err = c.try("PUT", target, []byte(in.value), header("If-Match", etag([]byte(in.match))))
	}
	if err != nil {
		return outcome{}, err
	}
	out := outcome{status: a.status}
	if in.op == "get" && a.status == 200 {
		out.value = string(a.body)
	}
	return out, nil
}

// TestListingUnderChange: a key that is there during a whole listing is in it exactly
// once, whatever happens around it, and the order is that of the bytes.
func TestListingUnderChange(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/")
	c := p.client()
	c.must(t, 200, "PUT", "/listing", nil)
	var stable []string
	for i := range 150 {
		key := fmt.Sprintf("%03d-stays", i)
		stable = append(stable, key)
		c.must(t, 200, "PUT", "/listing/"+key, []byte("x"))
	}
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for n := range 4 {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 6))
			for ctx.Err() == nil {
				target := fmt.Sprintf("/listing/%03d-comes-%d", rng.IntN(150), n)
				c.must(t, 200, "PUT", target, []byte("x"))
				if rng.IntN(3) > 0 {
					c.must(t, 204, "DELETE", target, nil)
				}
				c.must(t, 200, "PUT", "/listing/"+stable[rng.IntN(len(stable))], []byte("y")) // still there
			}
		})
	}
	for _, page := range []int{1, 3, 7, 50, 1000, 7, 3} {
		var got []string
		last := ""
		for _, o := range c.list(t, "listing", page) {
			if o.Key <= last {
				t.Errorf("by %d: %q behind %q", page, o.Key, last)
			}
			if last = o.Key; strings.HasSuffix(o.Key, "-stays") {
				got = append(got, o.Key)
			}
		}
		if !slices.Equal(got, stable) {
			t.Errorf("by %d: %d of %d keys that were there all the time", page, len(got), len(stable))
		}
	}
	stop()
	wait.Wait()
}

// TestListingIsOneMoment: a page shows what was there at one moment. The last key of
// it is there before the first, and both go by one event: never is there the first
// alone.
func TestListingIsOneMoment(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/")
	c := p.client()
	c.must(t, 200, "PUT", "/moment", nil)
	both := []byte(`<Delete><Object><Key>a</Key></Object><Object><Key>z</Key></Object></Delete>`)
	digest := header("Content-Md5", contentMD5(both))
	over := make(chan struct{})
	changes := 0
	go func() {
		defer close(over)
		for ; changes < 200 && !t.Failed(); changes++ {
			c.must(t, 200, "PUT", "/moment/z", []byte("x"))
			c.must(t, 200, "PUT", "/moment/a", []byte("x"))
			c.must(t, 200, "POST", "/moment?delete", both, digest)
		}
	}()
	seen := make(map[string]int)
	for listing := true; listing; {
		select {
		case <-over:
			listing = false
		default:
		}
		var names strings.Builder
		for _, o := range p.client().list(t, "moment", 1000) {
			names.WriteString(o.Key)
		}
		seen[names.String()]++
	}
	if seen["a"] > 0 || seen["za"] > 0 || len(seen) < 2 {
		t.Errorf("%d changes; it was listed: %v", changes, seen)
	}
}

// TestContinue: a body is asked for only when the request may be done.
func TestContinue(t *testing.T) {
	v := newVictim(t)
	b := content(1, 1000)
	expect := func(h string) string {
		return strings.Replace(h, "HTTP/1.1\r\n", "HTTP/1.1\r\nExpect: 100-continue\r\n", 1)
	}
	a, err := v.raw(wire(v.request("PUT", "/vault/new", b), nil, expect))
	if err != nil || a.status != 100 {
		t.Errorf("a good one: %v %v", a, err)
	}
	wrong := *v.root
	wrong.cred = v.alice.cred
	r := wrong.request(context.Background(), "PUT", "/vault/new", b)
	wrong.sign(r, b)
	a, err = v.raw(wire(r, nil, expect))
	checkRefused(t, "somebody else's", a, err, 403, "AccessDenied")
	r = v.request("PUT", "/vault/new", b)
	r.URL.Path = "/vault/other"
	a, err = v.raw(wire(r, nil, expect))
	checkRefused(t, "a bad one", a, err, 403, "SignatureDoesNotMatch")
	v.unharmed()
}
