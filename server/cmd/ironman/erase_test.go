package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ironman/server"
)

// TestEraseNext: an erasure that could not be asked for at one address is asked for at the next; of
// one that may have been heard nobody else is asked.
func TestEraseNext(t *testing.T) {
	asked := 0
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{}
{"done":1,"total":2}
{"found":{"seq":7,"kind":"object_put","keys":["a"],"key_count":3,"items":2}}
{"found":{"seq":9,"kind":"object_put","keys":["b"],"key_count":1,"items":1}}
{"plan":{"payloads":2,"items":3,"contexts":1,"erasures":[12]}}
`)) // a test's recorder takes it
	}))
	defer good.Close()
	deaf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	}))
	defer deaf.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	for _, c := range []struct {
		addresses []string
		dry       bool
		asked     int
		fails     string
	}{
		{[]string{nobody, good.URL}, false, 1, ""},
		{[]string{nobody, nobody, good.URL}, false, 1, ""},
		{[]string{deaf.URL, good.URL}, false, 0, "whether anything was erased"},
		{[]string{deaf.URL, good.URL}, true, 1, ""},
		{[]string{nobody}, false, 0, "refused"},
	} {
		asked = 0
		s := &feedSource{addresses: c.addresses, sign: func(*http.Request) error { return nil }, client: good.Client()}
		plan, err := s.erase(t.Context(), &server.Erase{Bucket: "b", Keys: []string{"k"}, DryRun: c.dry})
		if asked != c.asked || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%v: asked %d times, %v", c.addresses, asked, err)
			continue
		}
		if err != nil {
			continue
		}
		if len(plan.Found) != 2 || plan.Found[1].Seq != 9 || plan.Payloads != 2 || len(plan.Erasures) != 1 {
			t.Errorf("%+v", plan)
		}
		var out strings.Builder
		if err := tellPlan(&out, plan); err != nil || !strings.Contains(out.String(), `a and 2 more`) || !strings.Contains(out.String(), "1 of them tell of an encryption context") {
			t.Errorf("it is told as %s, %v", out.String(), err)
		}
	}
}

// TestTellErasures: nodes that were removed are named, and nobody is taken for everybody.
func TestTellErasures(t *testing.T) {
	x := &server.Erasures{Nodes: []server.ErasureNode{{Node: 1, Done: true}}, Removed: []uint32{2, 5}}
	if err := notDone(x); err != nil {
		t.Error(err)
	}
	var out strings.Builder
	if err := tellErasures(&out, x); err != nil || strings.Count(out.String(), "out of reach") != 2 {
		t.Errorf("%s, %v", out.String(), err)
	}
	if said := outOfReach(x); !strings.Contains(said, "2 5") {
		t.Error(said)
	}
	if err := notDone(&server.Erasures{}); err == nil {
		t.Error("no node is known, and all have done it")
	}
}
