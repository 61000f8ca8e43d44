package mirror

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"ironman/wal/digest"
)

// errNoFeed says that a store has no feed of a bucket.
var errNoFeed = errors.New("mirror: the store does not tell what happened to the bucket")

// identity is what no other bucket has, of whichever cluster: its id, which is the sequence of the event
// that made it, and the log time of that, by the nanosecond. The feed tells both first.
func identity(ctx context.Context, c *Client, bucket string) (id string, err error) {
	q := url.Values{"feed": {""}, "from": {"0"}, "kind": {"bucket_created"}, "max": {"1"}}
	err = persist(ctx, func() error {
		b, _, err := c.document(ctx, &request{method: http.MethodGet, bucket: bucket, query: q})
		if err != nil {
			return err
		}
		if b = bytes.TrimSpace(b); len(b) > 0 && b[0] != '{' { // it knows no feed, and answers with a list
			return &finalError{errNoFeed}
		}
		events, _, err := parsePage(b)
		if err != nil {
			return err
		}
		if len(events) == 0 || events[0].Kind != "bucket_created" {
			return &finalError{errNoFeed}
		}
		id = strconv.FormatUint(events[0].Seq, 10) + " " + events[0].Time
		return nil
	})
	return id, err
}

// know finds out what is mirrored, and where to. The cursor's name has in it which bucket the target is: for
// one that was made anew, or another one of the name, there is no cursor yet, and it is filled.
func (m *Mirror) know(ctx context.Context) error {
	source, err := identity(ctx, m.Source, m.From)
	if errors.Is(err, errNoFeed) {
		return final("%s: %w", m.From, err)
	}
	if err != nil {
		return err
	}
	target, err := identity(ctx, m.Target, m.To)
	switch r := asRefusal(err); {
	case err == nil:
	case errors.Is(err, errNoFeed), r != nil && r.code != "NoSuchBucket" && !passing(err): // another store's, or without the right to it
		target = m.Target.endpoints[0] + "/" + m.To
	default:
		return err
	}
	if source == target {
		return final("a bucket cannot be its own mirror")
	}
	m.origin, m.cursor = source, m.Cursor+"-"+short(target)
	return nil
}

// proof is what the mark of an object says that only the mirror of this source writes, at this key: an object
// that somebody copied with its mark to another key, or a mirror of another source wrote, has another one.
func (m *Mirror) proof(key string) string { return short(m.origin + "\x00" + key) }

func short(s string) string {
	sum := digest.SHA256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
