package fsm

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

func (r *Retention) owned() bool { return r != nil && !r.Inherits }

// archive moves a row of a historical table to history, if it is kept.
func (m *model) archive(key []byte, from uint64, row proto.Message) {
	if from == m.seq {
		return
	}
	h := past{key: string(key), from: from, to: m.seq, row: row, bucket: bucketOfRow(key, row)}
	r, shared := m.retentions[h.bucket], m.cluster.HistoryRetention > 0
	_, isName := row.(*BucketName)
	switch {
	case isName && shared:
	case r.owned() && r.History > 0:
		h.apart = true
	case r.owned() || !shared:
		return
	}
	m.history = append(m.history, h)
}

func bucketOfRow(key []byte, row proto.Message) uint64 {
	if n, ok := row.(*BucketName); ok {
		return n.Bucket
	}
	return binary.BigEndian.Uint64(key[1:])
}

// oldestShared and oldestIn are the smallest next of views that are whole.
func (m *model) oldestShared() uint64 {
	if m.cluster.GetHistoryRetention() == 0 {
		return m.seq
	}
	return m.cluster.HistoryTrimmed
}

func (m *model) oldestIn(bucket uint64) uint64 {
	r := m.retentions[bucket]
	switch {
	case r == nil:
		return m.oldestShared()
	case r.Inherits:
		return max(m.oldestShared(), r.Trimmed)
	case r.History == 0:
		return m.seq
	}
	return r.Trimmed
}

func (m *model) retain(b *event.HistoryRetentionSet) *event.Outcome {
	if b.Retention < 0 || b.Inherit && (b.Bucket == 0 || b.Retention > 0 || b.Strict) {
		return refuse(invalid)
	}
	if b.Bucket == 0 {
		c := proto.Clone(m.cluster).(*Cluster)
		if c.HistoryRetention == 0 || b.Retention == 0 {
			c.HistoryTrimmed = m.seq
		}
		c.HistoryRetention, c.HistoryStrict = b.Retention, b.Strict
		m.cluster = c
		return nil
	}
	old, known := m.retentions[b.Bucket]
	if _, there := m.buckets[b.Bucket]; !known && !there {
		return refuse(noBucket)
	}
	if !known && b.Inherit {
		return nil
	}
	r := &Retention{Inherits: b.Inherit, History: b.Retention, Strict: b.Strict, Trimmed: m.oldestIn(b.Bucket)}
	switch {
	case b.Inherit:
	case old.owned():
		r.Gathering, r.Gathered = old.Gathering, old.Gathered
	default:
		r.Gathering = true
	}
	if !b.Inherit && b.Retention == 0 {
		r.Trimmed = m.seq
	}
	m.retentions[b.Bucket] = r
	return nil
}

// early tells whether a strict retention forbids to trim that far.
func (m *model) early(strict bool, retention int64, trimmed, to uint64) bool {
	if !strict || retention == 0 || to <= trimmed {
		return false
	}
	first := m.seq
	for s, seq := range m.seconds {
		if s >= max(m.now-retention, 0)/1e9 {
			first = min(first, seq)
		}
	}
	return to > first
}

// settled is what becomes of a row that leaves the cluster's index.
func (m *model) settled(h past) (past, bool) {
	r := m.retentions[h.bucket]
	if r.owned() && r.History > 0 && h.to >= r.Trimmed {
		h.apart = true
		return h, true
	}
	return h, false
}

func (m *model) trim(b *event.HistoryTrimmed) *event.Outcome {
	if b.To > m.seq || b.Rows == 0 {
		return refuse(invalid)
	}
	slices.SortFunc(m.history, func(x, y past) int { return cmp.Or(cmp.Compare(x.to, y.to), strings.Compare(x.key, y.key)) })
	if b.Bucket != 0 {
		return m.trimBucket(b)
	}
	if m.early(m.cluster.HistoryStrict, m.cluster.HistoryRetention, m.cluster.HistoryTrimmed, b.To) {
		return refuse(conflict)
	}
	var rest []past
	n := 0
	for _, h := range m.history {
		keep := true
		if !h.apart && h.to < b.To && n < int(b.Rows) {
			n++
			h, keep = m.settled(h)
		}
		if keep {
			rest = append(rest, h)
		}
	}
	m.history = rest
	m.cluster = proto.Clone(m.cluster).(*Cluster)
	m.cluster.HistoryTrimmed = max(m.cluster.HistoryTrimmed, b.To)
	return &event.Outcome{Allocated: uint64(n)}
}

func (m *model) trimBucket(b *event.HistoryTrimmed) *event.Outcome {
	if m.retentions[b.Bucket] == nil {
		return refuse(notFound)
	}
	r := proto.Clone(m.retentions[b.Bucket]).(*Retention)
	m.retentions[b.Bucket] = r
	retention, strict := r.History, r.Strict
	if r.Inherits {
		retention, strict = m.cluster.HistoryRetention, m.cluster.HistoryStrict
	}
	if m.early(strict, retention, m.oldestIn(b.Bucket), b.To) {
		return refuse(conflict)
	}
	r.Trimmed = max(r.Trimmed, b.To)
	done := m.gather(b.Bucket, r, int(b.Rows))
	var rest []past
	needed := r.Gathering || r.Trimmed > m.oldestShared()
	if _, there := m.buckets[b.Bucket]; there && !r.Inherits {
		needed = true
	}
	for _, h := range m.history {
		mine := h.apart && h.bucket == b.Bucket
		if mine && h.to < r.Trimmed && done < int(b.Rows) {
			done++
			continue
		}
		needed = needed || mine
		rest = append(rest, h)
	}
	m.history = rest
	if !needed {
		delete(m.retentions, b.Bucket)
	}
	return &event.Outcome{Allocated: uint64(done)}
}

// gather moves what the cluster's index has of a bucket, in the order of history's keys.
func (m *model) gather(bucket uint64, r *Retention, limit int) (seen int) {
	if !r.Gathering {
		return 0
	}
	at := func(h past) []byte { return historyKey([]byte(h.key), h.to) }
	var mine, rest []past
	for _, h := range m.history {
		_, isName := h.row.(*BucketName)
		if h.bucket == bucket && !isName {
			mine = append(mine, h)
		} else {
			rest = append(rest, h)
		}
	}
	slices.SortFunc(mine, func(x, y past) int { return bytes.Compare(at(x), at(y)) })
	r.Gathering = false
	for _, h := range mine {
		keep := true
		switch {
		case bytes.Compare(at(h), r.Gathered) <= 0:
		case seen == limit:
			r.Gathering = true
		default:
			seen++
			r.Gathered = at(h)
			if !h.apart {
				h, keep = m.settled(h)
			}
		}
		if keep {
			rest = append(rest, h)
		}
	}
	if !r.Gathering {
		r.Gathered = nil
	}
	m.history = rest
	slices.SortFunc(m.history, func(x, y past) int { return cmp.Or(cmp.Compare(x.to, y.to), strings.Compare(x.key, y.key)) })
	return seen
}

// retention draws a change of how long history is kept, or a step of trimming a bucket's.
func (g *generator) retention(d *event.Draft) {
	bucket := g.bucket()
	if id, ok := pick(g, g.m.retentions, number); ok && g.odds(2) {
		bucket = id
	}
	if g.odds(2) {
		to := uint64(g.choose(int(g.m.seq) + 2))
		if g.odds(2) {
			to = g.m.seq - min(g.m.seq, uint64(g.choose(10)))
		}
		d.Statement.Body = &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{
			To: to, Rows: uint32(g.choose(8)), Bucket: bucket, Early: g.odds(4),
		}}
		return
	}
	b := &event.HistoryRetentionSet{Bucket: bucket, Retention: []int64{0, 1e9, 3600e9, math.MaxInt64}[g.choose(4)], Strict: g.odds(4)}
	switch g.choose(8) {
	case 0:
		b.Bucket = 0
	case 1, 2:
		b.Inherit, b.Retention, b.Strict = true, 0, false
	case 3:
		b.Inherit, b.Retention = g.odds(2), int64(g.choose(3)-1)
	}
	d.Statement.Body = &event.Statement_HistoryRetentionSet{HistoryRetentionSet: b}
}
