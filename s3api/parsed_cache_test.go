package s3api

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"ironman/s3api/policy"
)

func policyNamed(n int, size int) []byte {
	return []byte(fmt.Sprintf(`{"Id":"%d%s","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`, n, strings.Repeat("x", size)))
}

// A policy is parsed once while somebody asks for it, and what is kept is bounded.
func TestParsedCache(t *testing.T) {
	c := parsedCache[policy.Policy]{read: readBucketPolicy}
	first, err := c.parse(policyNamed(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		if _, err := c.parse(policyNamed(n, 10_000)); err != nil {
			t.Fatal(err)
		}
		if p, _ := c.parse(policyNamed(0, 0)); p != first {
			t.Fatalf("parsed again after %d others", n)
		}
	}
	if n := len(c.younger) + len(c.older); n > 2*parsedCacheBytes/10_000 {
		t.Errorf("%d are kept", n)
	}
	if _, err := c.parse([]byte("{")); err == nil || c.bytes > parsedCacheBytes {
		t.Errorf("%v, %d bytes", err, c.bytes)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for n := range 200 {
				if p, err := c.parse(policyNamed(n, 5000)); err != nil || !strings.HasPrefix(p.ID(), fmt.Sprint(n)) {
					t.Errorf("%d: %v %v", n, p, err)
				}
			}
		})
	}
	wait.Wait()
}
