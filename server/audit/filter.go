package audit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Filter says which entries are asked for. What is empty does not filter.
type Filter struct {
	From, To   uint64 // sequences; To is not among them, 0: to the end
	Bucket     string // its name, also of one that is gone, or its id
	Key        string
	Prefix     string // of keys
	Actor      string // an id or a name, "anonymous", "system"
	Kinds      []string
	Operations []string
	Refused    bool // only what was refused, or had a refused part
}

func (f *Filter) takes(e *Entry) bool {
	switch {
	case f.Bucket != "" && f.Bucket != e.Name && f.Bucket != strconv.FormatUint(e.Bucket, 10):
	case f.Key != "" && !slices.Contains(e.Keys, f.Key) && e.SourceKey != f.Key:
	case f.Prefix != "" && !slices.ContainsFunc(append(e.Keys, e.SourceKey), func(k string) bool { return strings.HasPrefix(k, f.Prefix) }):
	case f.Actor != "" && f.Actor != e.Actor && f.Actor != e.ActorName:
	case len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind):
	case len(f.Operations) > 0 && !slices.Contains(f.Operations, e.Operation):
	case f.Refused && e.Outcome == "accepted" && len(e.Subs) == 0:
	default:
		return true
	}
	return false
}

// Log calls tell for each entry that the filter takes, in order, until it fails.
func (n *Node) Log(ctx context.Context, f Filter, tell func(*Entry) error) error {
	names := make(map[uint64]string)
	actors := make(map[string]string)
	to := n.Size()
	if f.To != 0 {
		to = min(to, f.To)
	}
	if f.From >= to {
		return nil
	}
	for r, err := range n.Records(f.From) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if r.Seq >= to {
			return nil
		}
		d, err := decode(&r)
		if err != nil {
			return err
		}
		e := d.entry(r.Seq)
		if e.Bucket != 0 && e.Name == "" {
			e.Name = remembered(names, e.Bucket, n.bucketName)
		}
		e.ActorName = remembered(actors, d.envelope.Principal, n.actorName)
		if !f.takes(e) {
			continue
		}
		if err := tell(e); err != nil {
			return err
		}
	}
	return nil
}

// mostRemembered bounds what is remembered of names.
const mostRemembered = 100_000

func remembered[K comparable](known map[K]string, k K, find func(K) string) string {
	name, ok := known[k]
	if !ok {
		if len(known) >= mostRemembered {
			clear(known)
		}
		name = find(k)
		known[k] = name
	}
	return name
}

// Moment reads a sequence or a time (RFC 3339): the number of events before it. A sequence
// names the moment before its event, "end" that behind the last.
func (n *Node) Moment(s string) (uint64, error) {
	if s == "end" {
		return n.Size(), nil
	}
	if seq, err := strconv.ParseUint(s, 10, 64); err == nil {
		if seq > n.Size() {
			return 0, fmt.Errorf("audit: %d events are recorded here, fewer than %d", n.Size(), seq)
		}
		return seq, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("audit: %q is neither a sequence nor a time like 2026-01-02T03:04:05Z", s)
	}
	return n.At(t)
}
