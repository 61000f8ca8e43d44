package server_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
)

// TestMemory puts and gets one large object; the node must never hold much of it.
// IRONMAN_LONG makes it as large as a PUT may be.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("half a gibibyte")
	}
	size := int64(512 << 20)
	if os.Getenv("IRONMAN_LONG") != "" {
		size = 5 << 30
	}
	p := newProcess(t)
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/memory", nil)
	sent, took := putStream(t, c, "/memory/large", size)
	t.Logf("PUT of %d MiB: %.0f MB/s", size>>20, float64(size)/1e6/took.Seconds())
	atPut := peakMemory(t, p.cmd.Process.Pid)
	got, took := getStream(t, c, "/memory/large", size)
	t.Logf("GET of %d MiB: %.0f MB/s", size>>20, float64(size)/1e6/took.Seconds())
	if got != sent {
		t.Errorf("the bytes that came back have MD5 %s, those that were sent %s", got, sent)
	}
	peak := peakMemory(t, p.cmd.Process.Pid)
	t.Logf("most memory resident: %d MB after the PUT, %d MB after the GET", atPut/1e6, peak/1e6)
	if peak >= 250e6 {
		t.Errorf("%d MB were resident", peak/1e6)
	}
}

// putStream sends size bytes as today's SDKs do: in chunks, with a checksum after
// them. It returns their MD5, which must be the entity tag.
func putStream(t testing.TB, c *client, target string, size int64) (string, time.Duration) {
	t.Helper()
	body := &summed{r: io.LimitReader(contentReader(99), size), h: md5.New()}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	r := c.request(ctx, "PUT", target, nil)
	r.Body, r.ContentLength = io.NopCloser(body), size
	err := sig.SignV4Stream(r, c.cred, region, sig.Stream{Kind: sig.PayloadStreamUnsignedTrailer, Length: size, ChunkSize: 1 << 20}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	a, err := c.send(r)
	if err != nil || a.status != 200 {
		t.Fatalf("PUT: %v %v", a, err)
	}
	sum := hex.EncodeToString(body.h.Sum(nil))
	if tag := a.header.Get("Etag"); tag != `"`+sum+`"` {
		t.Errorf("the entity tag is %s, the MD5 %s", tag, sum)
	}
	return sum, time.Since(begin)
}

// getStream reads a whole object and returns its MD5.
func getStream(t testing.TB, c *client, target string, size int64) (string, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	r := c.request(ctx, "GET", target, nil)
	c.sign(r, nil)
	begin := time.Now()
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h := md5.New()
	n, err := io.Copy(h, resp.Body)
	if err != nil || n != size || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET: status %d, %d of %d bytes, %v", resp.StatusCode, n, size, err)
	}
	return hex.EncodeToString(h.Sum(nil)), time.Since(begin)
}

// summed hashes what is read.
type summed struct {
	r io.Reader
	h hash.Hash
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.h.Write(b[:n])
	return n, err
}

// peakMemory is the most memory, in bytes, that a process ever had resident.
func peakMemory(t testing.TB, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for line := range strings.Lines(string(bytes.TrimSpace(b))) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
