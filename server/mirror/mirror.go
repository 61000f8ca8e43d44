package mirror

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mirror is one bucket's mirror in another.
type Mirror struct {
	Source *Client
	From   string // the bucket that is read
	Target *Client
	To     string // the bucket that is written
	Cursor string // what the name of the cursor in the feed of From begins with
	// Tell is told what was done; may be nil. One call at a time.
	Tell func(Done)

	origin string // what the source is, and no other bucket
	cursor string // the whole name of the cursor

	mu     sync.Mutex      // of Tell, and of
	passed map[string]bool // keys that could not be brought, and have not changed since
}

// Done is a step that was done.
type Done struct {
	What string // "put", "delete", "pass" (it cannot be mirrored): a key; "sync", "batch": as far as Seq
	Key  string
	Seq  uint64 // the state of the source that it shows
}

const (
	workers   = 8 // keys at once
	batchSize = 500
	pollWait  = 20 * time.Second
	mostTries = 5 // to read a moment before it is not kept any more
	idlePause = 250 * time.Millisecond
	// idleMove is after how many events of others the cursor is moved, though there was nothing to do.
	idleMove = 100_000
)

var errBrokeOff = errors.New("mirror: an answer broke off")

// asRefusal is the answer that an error is; nil: it is none.
func asRefusal(err error) *refusal {
	var r *refusal
	errors.As(err, &r)
	return r
}

// Run brings the target to the state of the source, and with follow keeps it there until ctx
// ends. Killed at any moment and run again it goes on.
func (m *Mirror) Run(ctx context.Context, follow bool) error {
	if m.Source == m.Target && m.From == m.To {
		return final("a bucket cannot be its own mirror")
	}
	if err := m.know(ctx); err != nil {
		return err
	}
	end, err := m.end(ctx)
	if err != nil {
		return err
	}
	if err := m.keepsHistory(ctx); err != nil {
		return err
	}
	at, err := m.position(ctx)
	if err != nil {
		return err
	}
	if at == 0 {
		if at, err = m.syncAll(ctx, 0); err != nil {
			return err
		}
	}
	moved := at
	for follow || at < end {
		wait := pollWait
		if !follow {
			wait = 0
		}
		events, next, err := m.page(ctx, seqText(at), batchSize, wait)
		if err != nil {
			return err
		}
		switch {
		case len(events) > 0:
			if at, err = m.batch(ctx, moved, events, next); err != nil {
				return err
			}
			moved = at
		case next >= moved+idleMove:
			if err := m.move(ctx, moved, next); err != nil {
				return err
			}
			at, moved = next, next
		case next > at:
			at = next
		default: // who asked again at once might do so all the time
			if err := sleep(ctx, idlePause); err != nil {
				return err
			}
		}
	}
	return m.left()
}

// keepsHistory asks for the state of now as a moment. Where no history is kept that is past at once.
func (m *Mirror) keepsHistory(ctx context.Context) error {
	for tries := 0; ; tries++ {
		end, err := m.end(ctx)
		if err != nil {
			return err
		}
		err = (&listing{client: m.Source, bucket: m.From, asOf: end - 1, most: 1}).fill(ctx)
		switch {
		case errors.Is(err, errForgotten) && tries < mostTries:
		case errors.Is(err, errForgotten):
			return m.noHistory(err)
		default:
			return err
		}
	}
}

// noHistory says what the mirror needs.
func (m *Mirror) noHistory(err error) error {
	return final("the history of %s is not kept, or not for as long as a copy takes; a mirror reads from it: set a retention (ironman admin history set %s 1h): %w", m.From, m.From, err)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// batch does what events say, up to next, and moves the cursor. It returns where the cursor is.
func (m *Mirror) batch(ctx context.Context, from uint64, events []Event, next uint64) (uint64, error) {
	last := make(map[string]uint64) // the last event of each key
	for i := range events {
		e := &events[i]
		if len(e.Keys) == 0 && !keepsObjects(e.Kind) { // it does not say which keys it is about
			return m.syncAll(ctx, from)
		}
		if !changesObjects(e.Kind) {
			continue
		}
		for _, k := range e.Keys {
			last[k] = e.Seq
		}
		if e.SourceKey != "" && e.SourceID == 0 { // it was renamed; of a copy there is a bucket
			last[e.SourceKey] = e.Seq
		}
	}
	for tries := 0; ; tries++ {
		end, err := m.end(ctx) // the state is looked at behind all that was read
		if err == nil {
			err = m.each(ctx, last, func(key string, seq uint64) error { return m.bring(ctx, key, end-1, seq) })
		}
		if errors.Is(err, errForgotten) && tries < mostTries { // it took too long: the state of a later moment does as well
			continue
		}
		if errors.Is(err, errForgotten) {
			return 0, m.noHistory(err)
		}
		if err != nil {
			return 0, err
		}
		break
	}
	if err := m.move(ctx, from, next); err != nil {
		return 0, err
	}
	m.tell(Done{What: "batch", Seq: next - 1})
	return next, nil
}

// keepsObjects tells the events of a bucket that leave its objects as they are. Of all others that name
// no key, as those of a later release, nobody knows.
func keepsObjects(kind string) bool {
	switch kind {
	case "bucket_created", "bucket_deleted", "bucket_acl_set", "bucket_document_set", "bucket_versioning_set", "bucket_lock_set", "bucket_quota_set",
		"history_retention_set", "history_trimmed", "cursor_set", "cursor_deleted", "upload_created", "part_put", "upload_aborted":
		return true
	}
	return false
}

// changesObjects tells the events with keys of which the mirror shows something.
func changesObjects(kind string) bool {
	switch kind {
	case "object_acl_set", "object_lock_set", "part_put", "upload_created", "upload_aborted":
		return false
	}
	return true
}

// each does something with all keys, several at once. The first failure is returned when all
// that was begun has ended.
func (m *Mirror) each(ctx context.Context, keys map[string]uint64, do func(key string, seq uint64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan string)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var first error
	for range workers {
		wait.Go(func() {
			for key := range work {
				if ctx.Err() != nil {
					continue
				}
				if err := do(key, keys[key]); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
					cancel()
				}
			}
		})
	}
	for key := range keys {
		work <- key
	}
	close(work)
	wait.Wait()
	if first == nil {
		return ctx.Err()
	}
	return first
}

func (m *Mirror) tell(d Done) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Tell != nil {
		m.Tell(d)
	}
}

// kept are the headers of an object that the mirror shows.
func kept(h http.Header) http.Header {
	out := make(http.Header)
	for name, values := range h {
		if slices.Contains(keptHeaders, name) || strings.HasPrefix(name, "X-Amz-Meta-") && name != markHeader {
			out[name] = values
		}
	}
	return out
}

var keptHeaders = []string{
	"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires", "X-Amz-Website-Redirect-Location",
}
