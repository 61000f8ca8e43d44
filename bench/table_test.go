package bench

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

func sampleReport() *Report {
	p := func(v float64) *float64 { return &v }
	return &Report{
		Date:    time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Machine: Machine{CPU: "AMD EPYC 9B14", Cores: 2, MemoryBytes: 8 << 30, Kernel: "6.1.0", Go: "go1.26.0 linux/amd64"},
		Endpoints: []EndpointReport{
			{Name: "A", URLs: []string{"http://127.0.0.1:9000", "http://127.0.0.1:9001"}, Server: "IronMan-S3", Durability: "4+2, synced"},
			{Name: "B", URLs: []string{"http://127.0.0.1:9100"}, Warnings: []string{"the processes' io cannot be read"}},
		},
		Rounds: 5, RunSeconds: 10, SignedPayload: true, Seed: 1,
		Works: []WorkReport{
			{Work: "put-4k", Concurrency: 64, Sides: []Figures{
				{Endpoint: "A", Rounds: 2, Operations: 100, OpsPerSec: 4321.4, RoundRates: []float64{4200, 4442.8}, MiBPerSec: 16.88, P50ms: 12.34,
					P99ms: 40, MaxMs: 123.4, ServerCPUms: p(0.2), ClientCPUms: p(0.111), RSSBytes: p(100 << 20), WritesPerOp: p(2.5), SyncsPerOp: p(0.05)},
				{Endpoint: "B", Rounds: 2, Operations: 10, OpsPerSec: 307, RoundRates: []float64{300, 314}, MiBPerSec: 1.2, P50ms: 210, P99ms: 400,
					MaxMs: 1000, Errors: 3, Messages: map[string]int64{"503 SlowDown": 2, "EOF": 1}},
			}, Ratio: &Ratio{OpsPerSec: &Spread{14.08, 14, 14.2, 2}, P50: &Spread{0.06, 0.05, 0.07, 2}, P99: &Spread{0.1, 0.1, 0.1, 2}}},
			{Work: "list", Concurrency: 16, Sides: []Figures{
				{Endpoint: "A", Rounds: 1, Operations: 100, OpsPerSec: 123, ItemsPerSec: 123000, RoundRates: []float64{123}, P50ms: 9.99, P99ms: 20, MaxMs: 21},
				{Endpoint: "B"},
			}, Ratio: &Ratio{}},
		},
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	r := sampleReport()
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "two.txt", b.Bytes())

	b.Reset()
	r.Endpoints, r.SignedPayload, r.Interrupted = r.Endpoints[:1], false, true
	r.Works = r.Works[:1]
	r.Works[0].Sides, r.Works[0].Ratio = r.Works[0].Sides[:1], nil
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "one.txt", b.Bytes())
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "two.json", b.Bytes())
}

// TestClip: a server's text cannot steer a terminal.
func TestClip(t *testing.T) {
	if got := clip("a\x1b[2J\nb\x7f", 100); got != "a [2J b " {
		t.Errorf("%q", got)
	}
	if got := clip(strings.Repeat("ä", 10), 5); got != "ää..." {
		t.Errorf("%q", got)
	}
}
