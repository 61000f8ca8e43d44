package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"ironman/s3api/sig"
	"ironman/server/outbound"
)

// Webhook is where notifications are posted to.
type Webhook struct {
	URL string // http or https
	// Token is sent as a bearer token (RFC 6750); zero: none.
	Token sig.Secret
	// Accounts are the numbers of the accounts whose buckets may have it as a target;
	// none: every account's. It is judged when a bucket's configuration is set.
	Accounts []string
}

// webhookTimeout bounds one delivery, webhookAnswer what is read of its answer.
const (
	webhookTimeout = 10 * time.Second
	webhookAnswer  = 64 << 10
)

// webhooks posts to the targets that whoever runs the cluster has named.
type webhooks struct {
	targets map[string]Webhook
	http    *http.Client
}

// newWebhooks refuses URLs that cannot be posted to. Unless private addresses are
// allowed, what a name stands for is judged where it is dialed, each time.
func newWebhooks(targets map[string]Webhook, private bool) (*webhooks, error) {
	for name, t := range targets {
		u, err := url.Parse(t.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return nil, fmt.Errorf("server: webhook %q: its URL must be http://HOST/... or https://HOST/..., without a user", name)
		}
	}
	dialer := &net.Dialer{Timeout: webhookTimeout}
	if !private {
		dialer.Control = publicOnly
	}
	return &webhooks{targets: targets, http: &http.Client{
		Timeout:   webhookTimeout,
		Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute},
		// A redirect could lead anywhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// publicOnly refuses addresses that only this network can reach.
func publicOnly(network, address string, c syscall.RawConn) error {
	err := outbound.PublicOnly(network, address, c)
	if errors.Is(err, outbound.ErrPrivate) {
		err = fmt.Errorf("%w: --notify-private allows it", err)
	}
	return err
}

// post delivers one message. An answer of 2xx is a delivery.
func (w *webhooks) post(ctx context.Context, name string, message []byte) error {
	t, ok := w.targets[name]
	if !ok {
		return fmt.Errorf("this node knows no webhook %q", name)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(message))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "IronMan-S3")
	if token := t.Token.Reveal(); len(token) > 0 {
		r.Header.Set("Authorization", "Bearer "+string(token))
	}
	resp, err := w.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, which may hold a secret
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, webhookAnswer) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}

// accounts are the webhooks by name, and whose buckets may have them.
func (w *webhooks) accounts() map[string][]string {
	out := make(map[string][]string, len(w.targets))
	for name, t := range w.targets {
		out[name] = t.Accounts
	}
	return out
}
