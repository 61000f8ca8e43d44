package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Event is what the mirror reads of an event of the feed.
type Event struct {
	Seq       uint64   `json:"seq"`
	Time      string   `json:"time"` // of the log
	Kind      string   `json:"kind"`
	Keys      []string `json:"keys"`
	SourceKey string   `json:"source_key"` // within the bucket
	SourceID  uint64   `json:"source_bucket_id"`
	Bucket    uint64   `json:"bucket_id"`
	Erased    int      `json:"erased"`
}

// page reads events from one on, and waits for the first. next is where to go on.
func (m *Mirror) page(ctx context.Context, from string, max int, wait time.Duration) (events []Event, next uint64, err error) {
	q := url.Values{"feed": {""}, "from": {from}, "max": {strconv.Itoa(max)}, "wait": {wait.String()}}
	err = persist(ctx, func() error {
		b, _, err := m.Source.document(ctx, &request{method: http.MethodGet, bucket: m.From, query: q})
		if err != nil {
			return err
		}
		events, next, err = parsePage(b)
		return err
	})
	return events, next, err
}

// parsePage reads an answer. One without its last line broke off.
func parsePage(b []byte) (events []Event, next uint64, err error) {
	for line := range bytes.Lines(b) {
		var x struct {
			Event
			Next *uint64 `json:"next"`
		}
		if err := json.Unmarshal(line, &x); err != nil {
			return nil, 0, err
		}
		if x.Next != nil {
			return events, *x.Next, nil
		}
		events = append(events, x.Event)
	}
	return nil, 0, errBrokeOff
}

// end is the sequence behind all that was acknowledged before it was asked.
func (m *Mirror) end(ctx context.Context) (uint64, error) {
	_, next, err := m.page(ctx, "end", 1, 0)
	return next, err
}

// position is where the cursor stands; 0: there is none.
func (m *Mirror) position(ctx context.Context) (uint64, error) {
	b, _, err := m.Source.document(ctx, &request{method: http.MethodGet, bucket: m.From, query: url.Values{"feedCursor": {m.cursor}}})
	if r := asRefusal(err); r != nil && r.code == "NoSuchFeedCursor" {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var c struct {
		Next uint64 `json:"next"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return 0, final("the cursor %q: %w", m.cursor, err)
	}
	return c.Next, nil
}

// move moves the cursor. That it stands there already is what an answer that was lost had said.
func (m *Mirror) move(ctx context.Context, from, to uint64) error {
	q := url.Values{"feedCursor": {m.cursor}, "from": {strconv.FormatUint(from, 10)}, "to": {strconv.FormatUint(to, 10)}}
	_, _, err := m.Source.document(ctx, &request{method: http.MethodPut, bucket: m.From, query: q})
	if refused(err, http.StatusConflict) {
		if at, askErr := m.position(ctx); askErr == nil && at == to {
			return nil
		}
		return final("the cursor %q is not where it was left: another mirror has it: %w", m.cursor, err)
	}
	return err
}
