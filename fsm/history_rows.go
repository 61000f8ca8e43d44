package fsm

import (
	"context"
	"encoding/binary"
)

// historyRows counts the rows of history by the index that lists them: a bucket's, or (0)
// the cluster's. It is memory of this node only. From its opening on every change is
// counted; what was there before CountHistory adds.
type historyRows struct {
	since   map[uint64]int64 // changes since the machine was opened
	before  map[uint64]int64 // what was there then
	counted bool
}

// noteHistory counts a row that the event writes or deletes.
func (t *tx) noteHistory(key []byte, by int64) {
	switch tableOf(key) {
	case tableHistoryIndex:
		t.history[0] += by
	case tableBucketIndex:
		t.history[bucketIn(key)] += by
	}
}

// add takes over the changes of a batch.
func (h *historyRows) add(changes map[uint64]int64) {
	for bucket, by := range changes {
		if h.since[bucket] += by; h.since[bucket] == 0 {
			delete(h.since, bucket)
		}
	}
}

// CountHistory counts, once, what is there already, beside Apply. Until it has,
// HistoryRows knows nothing.
func (m *Machine) CountHistory(ctx context.Context) error {
	v, since, err := m.viewAndChanges(ctx)
	if err != nil {
		return err
	}
	before := make(map[uint64]int64)
	for _, tb := range []table{tableHistoryIndex, tableBucketIndex} {
		err := v.scan(key(tb), after(key(tb)), func(k, _ []byte) (bool, error) {
			bucket := uint64(0)
			if tb == tableBucketIndex {
				bucket = binary.BigEndian.Uint64(k[1:])
			}
			before[bucket]++
			return true, ctx.Err()
		})
		if err != nil {
			v.Close()
			return err
		}
	}
	if err := v.Close(); err != nil {
		return err
	}
	for bucket, n := range since {
		before[bucket] -= n
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows.before, m.rows.counted = before, true
	return nil
}

// viewAndChanges opens a view, and tells what had changed until its moment. A batch that is
// published between the two makes it try again.
func (m *Machine) viewAndChanges(ctx context.Context) (*View, map[uint64]int64, error) {
	for {
		v, err := m.View()
		if err != nil {
			return nil, nil, err
		}
		m.mu.Lock()
		same := m.meta.AppliedIndex == v.applied.Index
		since := make(map[uint64]int64)
		for bucket, n := range m.rows.since {
			since[bucket] = n
		}
		m.mu.Unlock()
		if same {
			return v, since, nil
		}
		if err := v.Close(); err != nil {
			return nil, nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
}

// HistoryRows is the number of rows of history that an index lists: of a bucket with a
// retention of its own, or (0) of all others. It is false before CountHistory is done.
func (m *Machine) HistoryRows(bucket uint64) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows.before[bucket] + m.rows.since[bucket], m.rows.counted
}

// AllHistoryRows is the number of all rows of history; false before CountHistory is done.
func (m *Machine) AllHistoryRows() (n int64, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, rows := range []map[uint64]int64{m.rows.before, m.rows.since} {
		for _, by := range rows {
			n += by
		}
	}
	return n, m.rows.counted
}
