package s3api

import (
	"net/http/httptest"
	"testing"
)

// TestPresentCostsNothing: who asks for no moment pays for none.
func TestPresentCostsNothing(t *testing.T) {
	r := &Request{HTTP: httptest.NewRequest("GET", "/b/k", nil), op: &operation{name: "GetObject", method: "GET", needs: needObject}}
	n := testing.AllocsPerRun(100, func() {
		b, at, err := cutMoment("a-bucket")
		if b != "a-bucket" || at != nil || err != nil {
			t.Fatal(b, at, err)
		}
		if r.takeMoment() != nil || r.openPast() != nil || r.past != nil {
			t.Fatal("a moment that nobody asked for")
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
