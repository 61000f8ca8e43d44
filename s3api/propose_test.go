package s3api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"ironman/s3api/access"
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// answers is a Log that has its answers already.
type answers []struct {
	seq     uint64
	refusal event.Refusal
	err     error
}

func (a *answers) Propose(context.Context, *event.Draft) (uint64, *event.Outcome, error) {
	now := (*a)[0]
	*a = (*a)[1:]
	return now.seq, &event.Outcome{Refusal: now.refusal}, now.err
}

// TestSequenceOfAnswers: an answer tells the sequence of the last event that the request
// had, also of one that was refused. What never was an event has none.
func TestSequenceOfAnswers(t *testing.T) {
	const refused = event.Refusal_REFUSAL_PRECONDITION_FAILED
	for want, log := range map[string]answers{
		"":  {{seq: 0, refusal: event.Refusal_REFUSAL_FEATURE_LEVEL}, {err: errors.New("unknown")}},
		"7": {{seq: 7, refusal: refused}, {seq: 0, refusal: event.Refusal_REFUSAL_FEATURE_LEVEL}},
		"8": {{seq: 7}, {err: errors.New("unknown")}, {seq: 8}},
		"9": {{seq: 7, refusal: refused}, {seq: 9}},
	} {
		s := &Server{Options: Options{Log: &log}}
		r := &Request{HTTP: httptest.NewRequest("PUT", "/b/k", nil), op: &operation{name: "PutObject"}, responseHeader: make(http.Header)}
		for len(log) > 0 {
			now := log[0]
			_, err := s.propose(t.Context(), r, event.NewDraft(nil, &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{}}))
			if failed := now.err != nil || now.refusal != event.Refusal_REFUSAL_NONE; (err != nil) != failed {
				t.Errorf("%+v: %v", now, err)
			}
		}
		if got := r.responseHeader.Get("X-Ironman-Sequence"); got != want {
			t.Errorf("the answer tells sequence %q, want %q", got, want)
		}
	}
}

// TestAtLeast: a view that shows events 0 to 41 is new enough for those, and what is no
// sequence is refused.
func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		values []string
		ok     bool
	}{
		{nil, true}, {[]string{"0"}, true}, {[]string{"41"}, true}, {[]string{"42"}, false}, {[]string{"18446744073709551615"}, false},
		{[]string{""}, false}, {[]string{"-1"}, false}, {[]string{"+1"}, false}, {[]string{"1 "}, false}, {[]string{"0x1"}, false}, {[]string{"1_0"}, false},
		{[]string{"1.0"}, false}, {[]string{"18446744073709551616"}, false}, {[]string{"latest"}, false}, {[]string{"1", "2"}, false},
	} {
		r := &Request{HTTP: httptest.NewRequest("GET", "/", nil), viewedSeq: 42, principal: access.Principal{CanonicalID: "id"}}
		if c.values != nil {
			r.HTTP.Header["X-Ironman-Min-Sequence"] = c.values
		}
		err := r.atLeast()
		if c.ok != (err == nil) || err != nil && !s3err.Is(err, "InvalidArgument") {
			t.Errorf("%q: %v", c.values, err)
		}
		if err == nil {
			continue
		}
		if err := new(Server).admitAtLeast(r); !s3err.Is(err, "InvalidArgument") { // before anything is looked at
			t.Errorf("%q: %v", c.values, err)
		}
	}
}
