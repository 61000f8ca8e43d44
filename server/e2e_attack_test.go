package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

// victim is a node whose contents no attack may change.
type victim struct {
	*testing.T
	p     *inProcess
	root  *client
	alice *client // another account
	state string  // what root sees of everything
}

const secretBody = "what nobody else may read"

// newVictim opens a node with a private bucket, a public one, and an open upload.
func newVictim(t *testing.T, change ...func(*server.Options)) *victim {
	key := randomKey("alice")
	change = append(change, func(o *server.Options) { o.Keys = []server.KeySpec{key} })
	p := openInProcess(t, vfs.NewMem(), "/", change...)
	v := &victim{T: t, p: p, root: p.client(), alice: p.client()}
	v.alice.cred = sig.Credential{AccessKey: key.AccessKey, Secret: sig.NewSecret(key.SecretKey)}
	v.root.must(t, 200, "PUT", "/vault", nil)
	v.root.must(t, 200, "PUT", "/vault/secret", []byte(secretBody))
	v.root.must(t, 200, "PUT", "/public", nil, header("X-Amz-Acl", "public-read"))
	v.root.must(t, 200, "PUT", "/public/page", []byte("for all"), header("X-Amz-Acl", "public-read"))
	v.root.must(t, 200, "PUT", "/public/hidden", []byte(secretBody))
	v.state = v.see()
	return v
}

// as is the victim inside a subtest.
func (v *victim) as(t *testing.T) *victim {
	w := *v
	w.T = t
	return &w
}

// see is everything that root sees: listings, uploads, lists of access, bytes.
func (v *victim) see() string {
	v.Helper()
	var out strings.Builder
	for _, target := range []string{"/", "/vault?list-type=2", "/vault?uploads", "/vault?acl", "/public?list-type=2", "/public?uploads", "/public?acl",
		"/vault/secret", "/vault/secret?acl", "/public/page", "/public/page?acl", "/public/hidden", "/public/hidden?acl"} {
		fmt.Fprintf(&out, "%s %s\n", target, v.root.must(v, 200, "GET", target, nil).body)
	}
	return out.String()
}

// unharmed checks that nothing is visible of what was attacked.
func (v *victim) unharmed() {
	v.Helper()
	now := v.see()
	if now == v.state {
		return
	}
	before := strings.Split(v.state, "\n")
	for i, line := range strings.Split(now, "\n") {
		if i >= len(before) || line != before[i] {
			v.Fatalf("the attack left something behind: %s", line)
		}
	}
}

// request is a signed request of root's, for an attack to change.
func (v *victim) request(method, target string, body []byte, change ...func(*http.Request)) *http.Request {
	r := v.root.request(context.Background(), method, target, body)
	for _, f := range change {
		f(r)
	}
	v.root.sign(r, body)
	return r
}

// refuses sends a request that was made by hand and wants an error.
func (v *victim) refuses(what string, status int, code string, r *http.Request) {
	v.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, err := v.root.send(r.WithContext(ctx))
	if r.Method == "HEAD" && err == nil {
		if a.status != status || len(a.body) != 0 {
			v.Errorf("%s: want %d, got %v", what, status, a)
		}
		return
	}
	checkRefused(v, what, a, err, status, code)
	v.noLeak(what, a)
}

// noLeak checks that an answer holds nothing that must stay inside.
func (v *victim) noLeak(what string, a *answer) {
	v.Helper()
	if a == nil {
		return
	}
	for _, s := range []string{secretBody, string(v.root.cred.Secret.Reveal()), string(v.alice.cred.Secret.Reveal()), "goroutine ", ".go:", "/node", "/disk"} {
		if bytes.Contains(a.body, []byte(s)) {
			v.Errorf("%s: the answer holds %q: %s", what, s, a.body)
		}
	}
}

// raw sends bytes as they are and reads one answer. A connection that is closed
// without any is io.EOF.
func (v *victim) raw(b []byte) (*answer, error) {
	v.Helper()
	return v.line(b, false)
}

// rawHalfClosed is raw, but says that nothing more will come.
func (v *victim) rawHalfClosed(b []byte) (*answer, error) {
	v.Helper()
	return v.line(b, true)
}

func (v *victim) line(b []byte, close bool) (*answer, error) {
	v.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(v.p.endpoint, "http://"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(b); err != nil && !errors.Is(err, net.ErrClosed) {
		v.Logf("writing: %v", err) // the node may have had enough
	}
	if close {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return nil, err
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if resp.Close { // which took the header away
		a.header.Set("Connection", "close")
	}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

// wire is a request as it goes over the line, its head changed by f.
func wire(r *http.Request, body []byte, f func(head string) string) []byte {
	var b bytes.Buffer
	if err := writeHead(&b, r); err != nil {
		panic(err)
	}
	return append([]byte(f(b.String())), body...)
}
