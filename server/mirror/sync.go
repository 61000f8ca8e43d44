package mirror

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strconv"
)

// syncAll brings the whole target to the state of the source as of now, and moves the cursor
// behind that. It returns where the cursor is. What is equal already is passed over, so that one that
// was killed goes on when it is run again.
func (m *Mirror) syncAll(ctx context.Context, from uint64) (uint64, error) {
	for tries := 0; ; tries++ {
		end, err := m.end(ctx)
		if err == nil {
			err = m.syncAsOf(ctx, end-1)
		}
		if errors.Is(err, errForgotten) && tries < mostTries {
			continue
		}
		if errors.Is(err, errForgotten) {
			err = m.noHistory(err)
		}
		if err == nil {
			err = m.move(ctx, from, end)
		}
		if err == nil {
			m.tell(Done{What: "sync", Seq: end - 1})
		}
		return end, err
	}
}

// syncAsOf goes through the keys of both buckets in their order.
func (m *Mirror) syncAsOf(ctx context.Context, asOf uint64) error {
	source := &listing{client: m.Source, bucket: m.From, asOf: asOf}
	target := &listing{client: m.Target, bucket: m.To}
	for {
		keys, err := merged(ctx, source, target)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := m.each(ctx, keys, func(key string, _ uint64) error { return m.bring(ctx, key, asOf, 0) }); err != nil {
			return err
		}
	}
}

// merged are the next keys of two listings, of either.
func merged(ctx context.Context, a, b *listing) (map[string]uint64, error) {
	keys := make(map[string]uint64)
	for len(keys) < batchSize {
		for _, l := range []*listing{a, b} {
			if err := l.fill(ctx); err != nil {
				return nil, err
			}
		}
		switch {
		case len(a.keys) > 0 && (len(b.keys) == 0 || a.keys[0] <= b.keys[0]):
			if keys[a.keys[0]] = 0; len(b.keys) > 0 && b.keys[0] == a.keys[0] {
				b.keys = b.keys[1:]
			}
			a.keys = a.keys[1:]
		case len(b.keys) > 0:
			keys[b.keys[0]] = 0
			b.keys = b.keys[1:]
		default:
			return keys, nil
		}
	}
	return keys, nil
}

// listing reads the keys of a bucket in their order.
type listing struct {
	client *Client
	bucket string
	asOf   uint64 // 0: the present
	most   int    // keys of a page; 0: as many as there may be
	keys   []string
	token  string
	ended  bool
}

// fill reads the next page if there is no key at hand.
func (l *listing) fill(ctx context.Context) error {
	for len(l.keys) == 0 && !l.ended {
		q := &request{method: http.MethodGet, bucket: l.bucket, query: url.Values{"list-type": {"2"}, "encoding-type": {"url"}}}
		if l.most > 0 {
			q.query.Set("max-keys", strconv.Itoa(l.most))
		}
		if l.token != "" {
			q.query.Set("continuation-token", l.token)
		}
		if l.asOf > 0 {
			q.header = http.Header{"X-Ironman-As-Of": {seqText(l.asOf)}}
		}
		b, _, err := l.client.document(ctx, q)
		if err != nil {
			return forgotten(err)
		}
		var page struct {
			IsTruncated           bool
			NextContinuationToken string
			Contents              []struct{ Key string }
		}
		if err := xml.Unmarshal(b, &page); err != nil {
			return final("a list of %s: %w", l.bucket, err)
		}
		for _, c := range page.Contents {
			key, err := url.QueryUnescape(c.Key)
			if err != nil {
				return final("a list of %s: %w", l.bucket, err)
			}
			l.keys = append(l.keys, key)
		}
		l.token, l.ended = page.NextContinuationToken, !page.IsTruncated
	}
	return nil
}
