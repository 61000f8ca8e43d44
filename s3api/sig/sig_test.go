package sig

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"ironman/wal/digest"
)

// Amazon's published example credentials, region and moment.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func exampleCredential() Credential {
	return Credential{AccessKey: exampleKey, Secret: NewSecret(exampleSecret)}
}

// verifierOf knows one credential.
func verifierOf(c Credential, now time.Time) *Verifier {
	return &Verifier{
		Region:  "us-east-1",
		AllowV2: true,
		Now:     func() time.Time { return now },
		Lookup: func(_ context.Context, accessKey, token string) (Secret, bool, error) {
			if accessKey != c.AccessKey {
				return Secret{}, false, nil
			}
			if token != string(c.Session.Reveal()) {
				return Secret{}, false, &Error{Code: CodeInvalidToken, Message: "The provided token is malformed or otherwise invalid."}
			}
			return c.Secret, true, nil
		},
		VirtualHost: func(host string) (string, bool) {
			host, _, _ = strings.Cut(host, ":")
			return strings.CutSuffix(host, ".s3.amazonaws.com")
		},
	}
}

// randomCredential makes a credential for one test.
func randomCredential() Credential {
	b := make([]byte, 30)
	rand.Read(b)
	return Credential{AccessKey: "TEST" + hex.EncodeToString(b[:8]), Secret: NewSecret(hex.EncodeToString(b[8:]))}
}

// received returns a request as a server reads it off the wire.
func received(t testing.TB, wire string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
	if err != nil {
		t.Fatalf("ReadRequest: %v\n%s", err, wire)
	}
	return r
}

// sent writes a client's request and reads it as a server does.
func sent(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatalf("Write: %v", err)
	}
	return received(t, b.String())
}

func newRequest(t testing.TB, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	var src io.Reader
	if body != "" {
		src = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, url, src)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// readAll verifies a request and reads its body.
func readAll(v *Verifier, r *http.Request) (id *Identity, body []byte, trailer http.Header, err error) {
	if id, err = v.Verify(context.Background(), r); err != nil {
		return nil, nil, nil, err
	}
	b, err := id.Body(r)
	if err != nil {
		return id, nil, nil, err
	}
	body, err = io.ReadAll(b)
	return id, body, b.Trailer(), err
}

func wantCode(t testing.TB, err error, code string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return e
}

func hexSHA256(s string) string {
	h := digest.SHA256([]byte(s))
	return hex.EncodeToString(h[:])
}

// chunkedTransfer frames a body with HTTP's own chunked transfer encoding.
func chunkedTransfer(body string) string {
	var b strings.Builder
	w := httputil.NewChunkedWriter(&b)
	io.WriteString(w, body)
	w.Close()
	b.WriteString("\r\n")
	return b.String()
}
