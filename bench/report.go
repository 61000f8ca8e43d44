package bench

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"time"
)

// Report is what a session found.
type Report struct {
	Date          time.Time        `json:"date"`
	Machine       Machine          `json:"machine"`
	Endpoints     []EndpointReport `json:"endpoints"` // A, or A and B
	Rounds        int              `json:"rounds"`    // asked for
	RunSeconds    float64          `json:"run_seconds"`
	SignedPayload bool             `json:"signed_payload"`
	Seed          uint64           `json:"seed"`
	Interrupted   bool             `json:"interrupted"`
	Works         []WorkReport     `json:"works"`
}

// EndpointReport is what the session knows of an endpoint.
type EndpointReport struct {
	Name       string   `json:"name"`
	URLs       []string `json:"urls"`
	Server     string   `json:"server"`           // its Server header
	Durability string   `json:"durability"`       // as the caller states it
	Beside     string   `json:"beside,omitempty"` // what else goes on
	Warnings   []string `json:"warnings,omitempty"`
}

// WorkReport is one work on all endpoints.
type WorkReport struct {
	Work        string    `json:"work"`
	Concurrency int       `json:"concurrency"`
	Sides       []Figures `json:"endpoints"`
	Ratio       *Ratio    `json:"ratio,omitempty"` // A to B; nil: there is no B
}

// Figures are one work on one endpoint, over all rounds. Rates and latencies are of
// operations that succeeded. A nil pointer: unknown.
type Figures struct {
	Endpoint string  `json:"endpoint"`
	Rounds   int     `json:"rounds"` // begun
	Seconds  float64 `json:"seconds"`

	Operations    uint64    `json:"operations"`
	Errors        int64     `json:"errors"`
	Corrupt       int64     `json:"corrupt"` // errors that are wrong bytes
	OpsPerSec     float64   `json:"ops_per_second"`
	RoundRates    []float64 `json:"ops_per_second_by_round"`
	MiBPerSec     float64   `json:"mib_per_second"`
	ItemsPerSec   float64   `json:"items_per_second"` // listed, deleted or expired
	P50ms         float64   `json:"p50_ms"`
	P99ms         float64   `json:"p99_ms"`
	MaxMs         float64   `json:"max_ms"`
	ServerCPUms   *float64  `json:"server_cpu_ms_per_op"`
	ClientCPUms   *float64  `json:"generator_cpu_ms_per_op"`
	RSSBytes      *float64  `json:"rss_bytes"`          // the most that was seen
	PeakRSSBytes  *float64  `json:"peak_rss_bytes"`     // since the processes began
	DirtyKiBPerOp *float64  `json:"dirtied_kib_per_op"` // of page cache: whole folios, far more than reaches a disk
	WritesPerOp   *float64  `json:"write_calls_per_op"`
	SyncsPerOp    *float64  `json:"fsyncs_per_op"`

	Messages map[string]int64 `json:"error_messages,omitempty"`
}

// Ratio compares A with B, round by round: each is A's figure divided by B's. nil:
// cannot be said.
type Ratio struct {
	OpsPerSec *Spread `json:"ops_per_second"`
	P50       *Spread `json:"p50"`
	P99       *Spread `json:"p99"`
	ServerCPU *Spread `json:"server_cpu_per_op"`
}

// Failed returns how many operations failed, and how many of these were wrong bytes.
func (r *Report) Failed() (errors, corrupt int64) {
	for _, w := range r.Works {
		for _, f := range w.Sides {
			errors += f.Errors
			corrupt += f.Corrupt
		}
	}
	return errors, corrupt
}

// WriteJSON writes the report as one JSON document.
func (r *Report) WriteJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// result is one run.
type result struct {
	tally
	seconds float64
	used    costs
	cut     bool // it did not last as long as it should
}

func newResult(r *run, used costs) *result {
	return &result{tally: *r.tally(), seconds: r.elapsed.Seconds(), used: used}
}

// addErrors counts the errors of a worker that looked at what the run left behind.
func (r *result) addErrors(w *worker) {
	r.errors += w.errors
	r.corrupt += w.corrupt
	for m, n := range w.messages {
		r.messages[m] += n
	}
}

// perOp divides a figure by the operations that succeeded. NaN: unknown.
func (r *result) perOp(v float64) float64 {
	if r.latency.count == 0 {
		return math.NaN()
	}
	return v / float64(r.latency.count)
}

func (r *result) rate(n float64) float64 {
	if r.seconds <= 0 {
		return 0
	}
	return n / r.seconds
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// known returns a pointer to v; nil if it is not a number.
func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// newWorkReport adds up the rounds. results are by side, then by round. Runs that
// were cut off count for the figures, not for the ratio.
func newWorkReport(name string, stages []*stage, results [][]*result) *WorkReport {
	w := &WorkReport{Work: name, Concurrency: stages[0].conns}
	for i, rounds := range results {
		w.Sides = append(w.Sides, newFigures(stages[i].side.name, rounds))
	}
	if len(results) == 2 {
		w.Ratio = newRatio(results[0], results[1])
	}
	return w
}

func newFigures(name string, rounds []*result) Figures {
	f := Figures{Endpoint: name, Rounds: len(rounds), Messages: make(map[string]int64)}
	all := &result{}
	peak, resident := math.NaN(), math.NaN()
	for _, r := range rounds {
		all.latency.merge(&r.latency)
		all.moved.bytes += r.moved.bytes
		all.moved.items += r.moved.items
		all.seconds += r.seconds
		all.used = all.used.plus(r.used)
		f.Errors += r.errors
		f.Corrupt += r.corrupt
		for m, n := range r.messages {
			f.Messages[m] += n
		}
		f.RoundRates = append(f.RoundRates, r.rate(float64(r.latency.count)))
		peak, resident = larger(peak, r.used.peakOf), larger(resident, r.used.residentMax)
	}
	f.Seconds, f.Operations = all.seconds, all.latency.count
	f.OpsPerSec = all.rate(float64(all.latency.count))
	f.MiBPerSec = all.rate(float64(all.moved.bytes) / mib)
	f.ItemsPerSec = all.rate(float64(all.moved.items))
	f.P50ms, f.P99ms = ms(all.latency.quantile(0.5)), ms(all.latency.quantile(0.99))
	f.MaxMs = ms(all.latency.max)
	f.ServerCPUms = known(all.perOp(all.used.server * 1000))
	f.ClientCPUms = known(all.perOp(all.used.generator * 1000))
	f.RSSBytes, f.PeakRSSBytes = known(resident), known(peak)
	f.DirtyKiBPerOp = known(all.perOp(all.used.dirtied / kib))
	f.WritesPerOp = known(all.perOp(all.used.writes))
	f.SyncsPerOp = known(all.perOp(all.used.syncs))
	return f
}

// larger returns the larger of two figures of which either may be unknown (NaN).
func larger(a, b float64) float64 {
	if math.IsNaN(a) || b > a {
		return b
	}
	return a
}

func (c costs) plus(d costs) costs {
	c.server += d.server
	c.generator += d.generator
	c.dirtied += d.dirtied
	c.writes += d.writes
	c.syncs += d.syncs
	return c
}

// newRatio compares the rounds that both sides have done to the end.
func newRatio(a, b []*result) *Ratio {
	var x, y []*result
	for i := range min(len(a), len(b)) {
		if !a[i].cut && !b[i].cut {
			x, y = append(x, a[i]), append(y, b[i])
		}
	}
	compare := func(f func(*result) float64) *Spread {
		var p, q []float64
		for i := range x {
			p, q = append(p, f(x[i])), append(q, f(y[i]))
		}
		return ratioSpread(p, q)
	}
	return &Ratio{
		OpsPerSec: compare(func(r *result) float64 { return r.rate(float64(r.latency.count)) }),
		P50:       compare(func(r *result) float64 { return ms(r.latency.quantile(0.5)) }),
		P99:       compare(func(r *result) float64 { return ms(r.latency.quantile(0.99)) }),
		ServerCPU: compare(func(r *result) float64 { return r.perOp(r.used.server) }),
	}
}

// sortedMessages returns the errors of a side, the most frequent first.
func (f *Figures) sortedMessages() []string {
	return slices.SortedFunc(maps.Keys(f.Messages), func(a, b string) int {
		if d := f.Messages[b] - f.Messages[a]; d != 0 {
			return int(d)
		}
		if a < b {
			return -1
		}
		return 1
	})
}
