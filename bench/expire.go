package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// expiryWait is how long a rule whose date is past may do nothing.
const expiryWait = time.Minute

// expiry is what goes on beside the runs of a side: a lifecycle rule of the bucket
// removes objects. A nil expiry does nothing.
type expiry struct {
	*stage // of what is removed
}

// newExpiry stores what is to be removed during a run. Its rule comes with begin.
func (s *session) newExpiry(ctx context.Context, st *stage, tag string) (*expiry, error) {
	if st.side.expires == 0 {
		return nil, nil
	}
	w := work{name: "expire", size: 64, sent: 64}
	x := &expiry{&stage{work: w, side: st.side, content: s.content, conns: 64, objects: st.side.expires}}
	return x, s.fill(ctx, x.stage, tag)
}

// begin sets the rule, and returns when the first object is gone: from then on the
// server is at it.
func (x *expiry) begin(ctx context.Context) error {
	if x == nil {
		return nil
	}
	// Its date is past for every server, however long its days are.
	doc := "<LifecycleConfiguration><Rule><ID>bench</ID><Filter><Prefix>" + escapeXML(x.have) + "</Prefix></Filter>" +
		"<Status>Enabled</Status><Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>"
	q := call{method: http.MethodPut, query: "lifecycle="}.withBody([]byte(doc))
	q.md5 = contentMD5([]byte(doc))
	c := x.side.client
	if _, err := c.discard(ctx, &q); err != nil {
		return fmt.Errorf("endpoint %s: the rule by which objects expire: %w", x.side.name, err)
	}
	for end := time.Now().Add(expiryWait); ; sleep(ctx, 10*time.Millisecond) {
		_, err := c.discard(ctx, &call{method: http.MethodHead, key: x.key(0)})
		var no *refusal
		switch {
		case errors.As(err, &no) && no.status == http.StatusNotFound:
			return nil
		case err != nil:
			return err
		case time.Now().After(end):
			return fmt.Errorf("endpoint %s: no object expired within %v, by a rule whose date is past: the server looks too rarely (ironman server --lifecycle-day 24s looks every second)",
				x.side.name, expiryWait)
		}
	}
}

// end takes the rule away and returns how many objects it has removed.
func (x *expiry) end(ctx context.Context, round int) (gone int64, err error) {
	if x == nil {
		return 0, nil
	}
	c := x.side.client
	if _, err := c.discard(ctx, &call{method: http.MethodDelete, query: "lifecycle="}); err != nil {
		return 0, fmt.Errorf("endpoint %s: taking the rule away: %w", x.side.name, err)
	}
	var page bytes.Buffer
	left := 0
	for token, more := "", true; more; more = token != "" {
		if token, err = c.listPage(ctx, 0, x.have, token, &page); err != nil {
			return 0, fmt.Errorf("endpoint %s: listing what has not expired: %w", x.side.name, err)
		}
		left += len(listedKeys(page.Bytes()))
	}
	if left == 0 {
		x.side.warnings = append(x.side.warnings, fmt.Sprintf("round %d: all objects had expired before the run ended: let more expire, or run for less time", round+1))
	}
	return int64(x.objects - left), nil
}
