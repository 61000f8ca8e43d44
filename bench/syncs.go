package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ironman/s3api/sig"
)

// syncsMetric is the counter of a node's fsync and fdatasync calls.
const syncsMetric = "ironman_fsyncs_total"

// errNoMetric: the endpoint does not count its syncs.
var errNoMetric = errors.New("has no metric " + syncsMetric)

// readSyncs adds up the syncs that nodes have counted so far.
func readSyncs(ctx context.Context, c *http.Client, admin []*url.URL, cred sig.Credential) (float64, error) {
	var sum float64
	for _, u := range admin {
		n, err := readNodeSyncs(ctx, c, u, cred)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", u.Host, err)
		}
		sum += n
	}
	return sum, nil
}

func readNodeSyncs(ctx context.Context, c *http.Client, u *url.URL, cred sig.Credential) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("/-/metrics").String(), nil)
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth(cred.AccessKey, string(cred.Secret.Reveal()))
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("metrics were answered with %s", resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, err
	}
	return parseSyncs(b)
}

// parseSyncs adds up the samples of the metric, whatever their labels are, in
// Prometheus' text format.
func parseSyncs(b []byte) (float64, error) {
	var sum float64
	found := false
	for line := range bytes.Lines(b) {
		rest, ok := strings.CutPrefix(string(line), syncsMetric)
		if !ok {
			continue
		}
		if strings.HasPrefix(rest, "{") {
			if _, rest, ok = strings.Cut(rest, "}"); !ok {
				continue
			}
		} else if !strings.HasPrefix(rest, " ") {
			continue // another metric with a longer name
		}
		f := strings.Fields(rest)
		if len(f) == 0 {
			continue
		}
		n, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", syncsMetric, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		return 0, errNoMetric
	}
	return sum, nil
}
