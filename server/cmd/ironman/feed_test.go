package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ironman/server/audit"
)

// TestFeedNoProgress: a feed that says that there is more, and does not go on, is given up after some
// pauses.
func TestFeedNoProgress(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"next":5,"more":true}`)) // a test's recorder takes it
	}))
	defer s.Close()
	f := &feedSource{addresses: []string{s.URL}, sign: func(*http.Request) error { return nil }, client: s.Client()}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := f.log(ctx, url.Values{"from": {"5"}}, func(*audit.Entry) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "does not go on") {
		t.Error(err)
	}
	if n := asked.Load(); n != feedRounds {
		t.Errorf("it was asked %d times", n)
	}
}
