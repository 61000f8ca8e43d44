package server

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ironman/erasure"
)

// metrics of one node, in a registry of its own. No label holds a bucket, a key or
// an access key: their number is not ours to bound.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	received prometheus.Counter
	sent     prometheus.Counter
	damage   prometheus.Counter
	expired  *prometheus.CounterVec
	notices  *prometheus.CounterVec
	refused  *prometheus.CounterVec
	lines    *prometheus.CounterVec
	early    prometheus.Counter
}

func newMetrics(n *Node) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ironman_s3_requests_total", Help: "S3 requests answered, by operation and HTTP status.",
		}, []string{"operation", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ironman_s3_request_seconds", Help: "Time from the first byte of a request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"operation"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{Name: "ironman_s3_received_bytes_total", Help: "Bytes of request bodies, decoded."}),
		sent:     prometheus.NewCounter(prometheus.CounterOpts{Name: "ironman_s3_sent_bytes_total", Help: "Bytes of answers' bodies."}),
		damage:   prometheus.NewCounter(prometheus.CounterOpts{Name: "ironman_shards_damaged_total", Help: "Shards that were found unreadable or not what they should be."}),
		expired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ironman_lifecycle_removed_total", Help: "What lifecycle rules removed on this node's proposal: current and noncurrent versions, markers, uploads.",
		}, []string{"what"}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ironman_notifications_total", Help: "Notifications that webhooks took, and that they did not take, which are tried again.",
		}, []string{"result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ironman_s3_errors_total", Help: "Errors answered by S3, IAM and STS, by their code: QuotaExceeded is a quota that is used up.",
		}, []string{"code"}),
	}
	m.early = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ironman_history_early_rows_total", Help: "Rows of history that went before their retention was over, on this node's proposal, because there was little free space.",
	})
	m.lines = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ironman_access_log_lines_total", Help: "Lines of buckets' access logs: delivered, and dropped because there was no room for them (full), because the target is gone or does not take them (refused), or because the node stopped first (stopped).",
	}, []string{"result"})
	for _, result := range [...]string{linesDelivered, linesFull, linesRefused, linesStopped} {
		m.lines.WithLabelValues(result)
	}
	m.registry.MustRegister(m.requests, m.seconds, m.received, m.sent, m.damage, m.expired, m.notices, m.refused, m.lines, m.early)
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("ironman_events_applied", "Events applied: the sequence of the next one.", func() float64 { return float64(n.machine.Applied().Next) })
	gauge("ironman_backups_running", "Backups of the cluster that are being taken from this node.", func() float64 { return float64(len(n.backups.list())) })
	gauge("ironman_packs_held_seconds", "For how long no pack is unlinked on this node, unless the backup that it is for is over before; 0: packs are unlinked.", func() float64 {
		now := n.opts.Now()
		return max(n.holds.held(now).Sub(now).Seconds(), 0)
	})
	gauge("ironman_ledger_events", "Events in the ledger's files.", func() float64 { return float64(n.log.Archived()) })
	for _, part := range ledgerParts {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ironman_ledger_bytes", Help: "Bytes of the ledger's files, which are kept for ever, by what they hold; NaN until they are counted.",
			ConstLabels: prometheus.Labels{"of": part.name},
		}, func() float64 {
			if sizes, known := n.log.LedgerSizes(); known {
				return float64(part.of(sizes))
			}
			return math.NaN()
		}))
	}
	for _, g := range readsGauges {
		gauge(g.name, g.help, func() float64 { return n.readsGauge(g.of) })
	}
	gauge("ironman_ledger_missing_events", "Events that this node is fetching from other nodes' ledgers.", func() float64 {
		from, to := n.log.Backfilling()
		return float64(to - from)
	})
	gauge("ironman_log_live_bytes", "Bytes of log files that Raft still needs.", func() float64 { live, _ := n.log.Bytes(); return float64(live) })
	gauge("ironman_log_retained_bytes", "Bytes of log files that Raft does not need any more: they go once their events are in the ledger.", func() float64 { _, all := n.log.Bytes(); return float64(all) })
	gauge("ironman_history_rows", "Rows of history: what was superseded and is kept; NaN until they are counted.", func() float64 {
		if rows, known := n.machine.AllHistoryRows(); known {
			return float64(rows)
		}
		return math.NaN()
	})
	gauge("ironman_history_oldest_seconds", "Age of the oldest moment that can be read, where a bucket has no retention of its own.", n.historyAge)
	counter := func(name, help string, f func() uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(f()) }))
	}
	counter("ironman_fsyncs_total", "Syncs of files and directories, of log, state, ledger and disks.", n.syncs.Load)
	counter("ironman_ledger_erased_items_total", "Payload items erased from the ledger's files on this node.", func() uint64 {
		sizes, _ := n.log.LedgerSizes()
		return uint64(sizes.Erased)
	})
	gauge("ironman_log_truncated_index", "Index up to which Raft's log is gone.", func() float64 { return float64(n.log.Truncated()) })
	counter("ironman_log_damaged_total", "Entries of the log that were found damaged, at each look.", func() uint64 { found, _ := n.log.Damaged(); return found })
	counter("ironman_log_mended_total", "Damaged entries of the log that were written again.", func() uint64 { _, mended := n.log.Damaged(); return mended })
	gauge("ironman_write_buffer_bytes", "Bytes of buffers that requests hold that write objects.", func() float64 { writing, _ := n.Buffered(); return float64(writing) })
	gauge("ironman_read_buffer_bytes", "Bytes of buffers that requests hold that read objects.", func() float64 { _, reading := n.Buffered(); return float64(reading) })
	gauge("ironman_notifications_behind_events", "Events that the notification configuration that has come least far has yet to look at; 0 where this node does not lead.", func() float64 {
		if w := n.notifier.Load(); w != nil {
			return float64(w.behind(n.machine.Applied().Next))
		}
		return 0
	})
	gauge("ironman_feed_readers", "Requests and streams that read the change feed.", func() float64 {
		if n.changes == nil {
			return 0
		}
		return float64(len(n.changes.places) + n.changes.buckets.taken())
	})
	gauge("ironman_access_log_held_bytes", "Bytes of memory that lines of access logs take which are not delivered yet.", n.access.held)
	gauge("ironman_disks_failed", "Disks of this node that take no writes.", n.failedDisks)
	m.free("node", "", n.space.Free)
	return m
}

// freeOfDisks adds the free space of a store's disks.
func (m *metrics) freeOfDisks(s *erasure.Store) {
	for i, d := range s.Disks() {
		m.free("disk", strconv.Itoa(int(d.Identity.Number)), func() (uint64, bool) {
			now := s.Disks()[i]
			return now.Free, now.Known
		})
	}
}

// free adds the free space of a file system: of the node's directory, or of a disk.
func (m *metrics) free(role, disk string, bytes func() (uint64, bool)) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ironman_free_bytes", Help: "Free bytes of the file system of the node's directory, or of a disk; NaN if it cannot tell.",
		ConstLabels: prometheus.Labels{"role": role, "disk": disk},
	}, func() float64 {
		if n, known := bytes(); known {
			return float64(n)
		}
		return math.NaN()
	}))
}

func (n *Node) failedDisks() float64 {
	if n.blobs == nil {
		return 0
	}
	failed := 0.0
	for _, d := range n.blobs.Disks() {
		if d.Failure != nil {
			failed++
		}
	}
	return failed
}

func (m *metrics) notified(delivered bool, n int) {
	result := "failed"
	if delivered {
		result = "sent"
	}
	m.notices.WithLabelValues(result).Add(float64(n))
}

func (m *metrics) logged(result string, lines int) {
	m.lines.WithLabelValues(result).Add(float64(lines))
}

func (m *metrics) expire(what string, n int) { m.expired.WithLabelValues(what).Add(float64(n)) }

// refuse counts an error. Codes are Amazon's and our own: no client can make one up.
func (m *metrics) refuse(code string) { m.refused.WithLabelValues(code).Inc() }

// observe counts one answered request.
func (m *metrics) observe(operation string, status int, took time.Duration, received, sent int64) {
	if operation == "" {
		operation = "none"
	}
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(operation).Observe(took.Seconds())
	m.received.Add(float64(received))
	m.sent.Add(float64(sent))
}
