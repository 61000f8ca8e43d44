package webidentity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"ironman/s3api/iam"
	"ironman/server/outbound"
	"ironman/wal/digest"
)

const (
	// askTimeout bounds both documents together.
	askTimeout = 5 * time.Second
	// maxDocument bounds each, in bytes.
	maxDocument = 256 << 10
)

// source is where a provider's keys are read.
type source struct {
	issuer   string
	insecure bool
	http     *http.Client
}

func newSource(p *iam.Provider, insecure bool) *source {
	dialer := &net.Dialer{Timeout: askTimeout}
	if !insecure {
		dialer.Control = outbound.PublicOnly
	}
	return &source{issuer: p.URL, insecure: insecure, http: &http.Client{
		Timeout: askTimeout,
		// No proxy: it would dial what must not be dialed.
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
			DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialTLS(ctx, dialer, network, address, p.Thumbprints)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// dialTLS connects to a server that shows to be the host.
func dialTLS(ctx context.Context, dialer *net.Dialer, network, address string, thumbprints []string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12,
		// Verified by the system's roots or else by thumbprints. The state names no server
		// that is asked by its address.
		InsecureSkipVerify: true,
		VerifyConnection:   func(c tls.ConnectionState) error { return verifyChain(c, host, thumbprints) },
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// verifyChain believes a server whose certificate for the host leads to a root of the
// system, or to a certificate that it sends and whose thumbprint is known.
func verifyChain(c tls.ConnectionState, host string, thumbprints []string) error {
	o := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
	for _, x := range c.PeerCertificates[1:] {
		o.Intermediates.AddCert(x)
	}
	_, err := c.PeerCertificates[0].Verify(o)
	if err == nil {
		return nil
	}
	for _, x := range c.PeerCertificates {
		sum := digest.NewSHA1() // what a thumbprint is
		sum.Write(x.Raw)
		known := hex.EncodeToString(sum.Sum(nil))
		if !slices.ContainsFunc(thumbprints, func(t string) bool { return strings.EqualFold(t, known) }) {
			continue
		}
		o.Roots = x509.NewCertPool()
		o.Roots.AddCert(x)
		if _, err := c.PeerCertificates[0].Verify(o); err == nil {
			return nil
		}
	}
	return err
}

// keys asks the provider where its keys are, and for them.
func (s *source) keys(ctx context.Context) ([]key, error) {
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := s.ask(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration", &about); err != nil {
		return nil, err
	}
	if about.Issuer != s.issuer {
		return nil, errors.New("the discovery document is of another issuer")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.ask(ctx, about.Keys, &set); err != nil {
		return nil, err
	}
	var out []key
	for _, b := range set.Keys {
		var read jose.JSONWebKey
		if read.UnmarshalJSON(b) != nil {
			continue // of a kind that is not known here, which is passed over (RFC 7517, section 5)
		}
		if k, ok := take(&read); ok && len(out) < maxKeys {
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it publishes no key for signatures")
	}
	return out, nil
}

// ask reads a JSON document.
func (s *source) ask(ctx context.Context, where string, into any) error {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(s.insecure && u.Scheme == "http") {
		return errors.New("it is not at https://")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "IronMan-S3")
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", u.Host, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return err
	}
	if len(b) > maxDocument {
		return fmt.Errorf("%s answered more than %d bytes", u.Host, maxDocument)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s answered what cannot be read", u.Host)
	}
	return nil
}
