package s3api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// A cursor of a bucket's feed is how far a consumer has come. It is the account's that made
// it: others neither see nor move it, and each may have so many in a bucket. In the log it
// is a cursor of the bucket, whose name begins with the account.
const (
	maxFeedCursors    = 100
	maxFeedCursorName = 256
)

// feedCursorJSON is a cursor as an answer shows it.
type feedCursorJSON struct {
	Name string    `json:"name"`
	Next uint64    `json:"next"`          // events below it are done
	Time time.Time `json:"time,omitzero"` // of when it was moved; not in the answer to a move
}

// getBucketFeedCursor shows a cursor of the caller's account, or with no name all of them.
func (s *Server) getBucketFeedCursor(_ context.Context, r *Request) (*Response, error) {
	if err := r.feedForNamed(); err != nil {
		return nil, err
	}
	if name := r.Query.Get("feedCursor"); name != "" {
		row, err := r.feedCursor(name)
		if err != nil {
			return nil, err
		}
		return answerJSON(feedCursorJSON{Name: name, Next: row.Next, Time: time.Unix(0, row.Time).UTC()})
	}
	list := []feedCursorJSON{}
	err := r.feedCursors(func(name string, row *fsm.Cursor) {
		list = append(list, feedCursorJSON{Name: name, Next: row.Next, Time: time.Unix(0, row.Time).UTC()})
	})
	if err != nil {
		return nil, err
	}
	return answerJSON(list)
}

// putBucketFeedCursor moves a cursor forward from where it stands; from 0 it is made. Of two
// that move it from the same place one is refused.
func (s *Server) putBucketFeedCursor(ctx context.Context, r *Request) (*Response, error) {
	if err := r.feedForNamed(); err != nil {
		return nil, err
	}
	name, err := r.feedCursorName(r.Query.Get("feedCursor"))
	if err != nil {
		return nil, err
	}
	from, err := r.sequenceParameter("from")
	if err != nil {
		return nil, err
	}
	to, err := r.sequenceParameter("to")
	if err != nil {
		return nil, err
	}
	if to <= from || to > r.viewedSeq {
		return nil, s3err.InvalidArgument("to", strconv.FormatUint(to, 10), "A cursor moves forward, and not beyond the last event.")
	}
	row, err := r.view.Cursor(r.bucket.Bucket, event.CursorKind_CURSOR_KIND_FEED, name)
	if err != nil {
		return nil, err
	}
	if row.GetNext() != from {
		return nil, feedCursorMoved(row.GetNext())
	}
	if row == nil {
		n := 0
		if err := r.feedCursors(func(string, *fsm.Cursor) { n++ }); err != nil {
			return nil, err
		}
		if n >= maxFeedCursors {
			return nil, s3err.Newf("InvalidRequest", "An account may have no more than %d cursors in a bucket.", maxFeedCursors)
		}
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_CursorSet{CursorSet: &event.CursorSet{
		Kind: event.CursorKind_CURSOR_KIND_FEED, Bucket: r.bucket.Bucket, From: from, To: to,
	}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, name)
	o, err := s.agree(ctx, r, d, r.eventID)
	switch {
	case err != nil:
		return nil, err
	case o.Refusal == event.Refusal_REFUSAL_CONFLICT:
		return nil, s3err.New("FeedCursorMoved")
	case o.Refusal != event.Refusal_REFUSAL_NONE:
		return nil, s3err.FromRefusal(o.Refusal)
	}
	return answerJSON(feedCursorJSON{Name: r.Query.Get("feedCursor"), Next: to})
}

// deleteBucketFeedCursor forgets a cursor. What is not there is forgotten already.
func (s *Server) deleteBucketFeedCursor(ctx context.Context, r *Request) (*Response, error) {
	if err := r.feedForNamed(); err != nil {
		return nil, err
	}
	name, err := r.feedCursorName(r.Query.Get("feedCursor"))
	if err != nil {
		return nil, err
	}
	row, err := r.view.Cursor(r.bucket.Bucket, event.CursorKind_CURSOR_KIND_FEED, name)
	if err != nil || row == nil {
		return noContent(), err
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_CursorDeleted{CursorDeleted: &event.CursorDeleted{
		Kind: event.CursorKind_CURSOR_KIND_FEED, Bucket: r.bucket.Bucket,
	}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, name)
	o, err := s.agree(ctx, r, d, r.eventID)
	if err == nil && o.Refusal != event.Refusal_REFUSAL_NONE && o.Refusal != event.Refusal_REFUSAL_NOT_FOUND {
		err = s3err.FromRefusal(o.Refusal)
	}
	return noContent(), err
}

// feedCursor is a cursor of the caller's account as the request's view shows it.
func (r *Request) feedCursor(name string) (*fsm.Cursor, error) {
	full, err := r.feedCursorName(name)
	if err != nil {
		return nil, err
	}
	row, err := r.view.Cursor(r.bucket.Bucket, event.CursorKind_CURSOR_KIND_FEED, full)
	if err == nil && row == nil {
		err = s3err.New("NoSuchFeedCursor").With("CursorName", name)
	}
	return row, err
}

// feedCursors calls f for each cursor of the caller's account in the bucket, by name.
func (r *Request) feedCursors(f func(name string, row *fsm.Cursor)) error {
	all, err := r.view.Cursors(r.bucket.Bucket)
	for _, c := range all {
		if name, ok := strings.CutPrefix(c.Name, r.principal.CanonicalID+"/"); ok && c.Kind == event.CursorKind_CURSOR_KIND_FEED {
			f(name, c.Row)
		}
	}
	return err
}

// feedCursorName is the name of a cursor in the log.
func (r *Request) feedCursorName(name string) (string, error) {
	if name == "" || len(name) > maxFeedCursorName || !utf8.ValidString(name) {
		return "", s3err.InvalidArgument("feedCursor", strings.ToValidUTF8(name, "?"), "A cursor has a name of up to "+strconv.Itoa(maxFeedCursorName)+" bytes of UTF-8.")
	}
	return r.principal.CanonicalID + "/" + name, nil
}

// feedCursorMoved says that a cursor is elsewhere than who moves it believed.
func feedCursorMoved(next uint64) error {
	return s3err.New("FeedCursorMoved").With("Next", strconv.FormatUint(next, 10))
}

func (r *Request) sequenceParameter(name string) (uint64, error) {
	text := r.Query.Get(name)
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil || len(r.Query[name]) != 1 {
		return 0, s3err.InvalidArgument(name, text, "It must be the sequence of an event.")
	}
	return seq, nil
}

// answerJSON answers with a value as JSON.
func answerJSON(v any) (*Response, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: bytesBody{bytes.NewReader(b)}, Length: int64(len(b))}, nil
}

// bytesBody is a body that is at hand.
type bytesBody struct{ *bytes.Reader }

func (bytesBody) Close() error { return nil }

var _ io.WriterTo = bytesBody{}
