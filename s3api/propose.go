package s3api

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// The sequence of an event is its position in the ledger: its number among all events of
// the cluster. An answer to a request that made one tells it, whether the event was
// accepted or refused, and of several the last one's. A success without it changed
// nothing.
//
// Every request may ask for a state that has an event. It always reads one: whatever was
// answered before it began, by any node, its view shows. What is left is to refuse a
// sequence that this cluster has not come to, which no answer of its ever told: it is
// of another cluster, or of what this one lost when it was set back to a backup.
const (
	sequenceHeader    = "X-Ironman-Sequence"
	minSequenceHeader = "X-Ironman-Min-Sequence"
)

// propose agrees on the event of a request and turns a refusal into its S3 error.
func (s *Server) propose(ctx context.Context, r *Request, d *event.Draft) (*event.Outcome, error) {
	return s.proposeAs(ctx, r, d, r.eventID)
}

// proposeAs proposes under another id: for a request that needs several events.
func (s *Server) proposeAs(ctx context.Context, r *Request, d *event.Draft, id [event.RequestIDBytes]byte) (*event.Outcome, error) {
	o, err := s.agree(ctx, r, d, id)
	if err != nil {
		return nil, err
	}
	if o.Refusal != event.Refusal_REFUSAL_NONE {
		return o, s3err.FromRefusal(o.Refusal).About(s3err.Subject{Bucket: r.Bucket, Key: r.Key, UploadID: r.Query.Get("uploadId")})
	}
	return o, nil
}

// agree proposes an event of a request: all events of requests go this way. A refusal is
// an outcome, not an error.
func (s *Server) agree(ctx context.Context, r *Request, d *event.Draft, id [event.RequestIDBytes]byte) (*event.Outcome, error) {
	d.Statement.Header = r.header(id)
	d.AddMessage(event.ItemKind_ITEM_KIND_CLIENT, 0, r.client())
	seq, o, err := s.Log.Propose(ctx, d)
	if err != nil {
		return nil, err
	}
	r.happened(seq)
	return o, nil
}

// happened has the answer tell the sequence of an event; 0 is none of a request.
func (r *Request) happened(seq uint64) {
	if seq > 0 {
		r.responseHeader.Set(sequenceHeader, strconv.FormatUint(seq, 10))
	}
}

// admitAtLeast decides on a request, at a state that is as new as it asks for. Whoever
// has signed is told that there is none before anything that the state shows. A stranger
// is told last: how far the log has come concerns only who may do something here.
func (s *Server) admitAtLeast(r *Request) error {
	late := r.atLeast()
	if late == nil {
		late = r.openPast()
	}
	var old tooOld
	if late != nil && !r.principal.Anonymous() && !errors.As(late, &old) {
		return late
	}
	switch {
	case r.past != nil:
		return s.admitPast(r)
	case late != nil:
		return s.admitLate(r, late)
	}
	return s.admit(r)
}

// atLeast refuses a request that asks for an event which its view does not show.
func (r *Request) atLeast() error {
	values := r.HTTP.Header.Values(minSequenceHeader)
	if len(values) == 0 {
		return nil
	}
	name, value := strings.ToLower(minSequenceHeader), strings.Join(values, ",")
	least, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return s3err.InvalidArgument(name, value, "The header must be a number: the x-ironman-sequence of an earlier answer.")
	}
	if least >= r.viewedSeq {
		return s3err.InvalidArgument(name, value, "The event with this sequence has not happened yet in this cluster.")
	}
	return nil
}
