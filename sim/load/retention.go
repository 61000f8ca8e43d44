package load

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// keep says how long the history of a bucket is kept.
func (c *Client) keep(ctx context.Context, node int, bucket string, retention time.Duration, strict bool) error {
	q := url.Values{"bucket": {bucket}, "retention": {retention.String()}, "strict": {strconv.FormatBool(strict)}}
	status, text, err := c.of.Admin(ctx, node, http.MethodPost, "/-/history/set?"+q.Encode(), nil)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("load: the retention of %s: %d %.200q: %w", bucket, status, text, err)
	}
	return nil
}
