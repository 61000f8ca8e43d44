package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
	"ironman/server"
)

// wireConn is a connection on which a test says what it likes.
type wireConn struct {
	net.Conn
	r *bufio.Reader
}

func (v *victim) dial() *wireConn {
	v.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(v.p.endpoint, "http://"))
	if err != nil {
		v.Fatal(err)
	}
	v.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &wireConn{conn, bufio.NewReader(conn)}
}

// say sends bytes as they are.
func (c *wireConn) say(t testing.TB, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// hear reads one answer to a request.
func (c *wireConn) hear(t testing.TB, r *http.Request) *answer {
	t.Helper()
	resp, err := http.ReadResponse(c.r, r)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	if resp.Close {
		a.header.Set("Connection", "close")
	}
	return a
}

// ends wants the node to close the connection.
func (c *wireConn) ends(t testing.TB, what string) {
	t.Helper()
	_, err := io.Copy(io.Discard, c.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection is still open after 30 s", what)
	}
}

func same(h string) string { return h }

// unsignedPut is a PUT of root's that says how long its body is, and no more.
func (v *victim) unsignedPut(target string, length int64) *http.Request {
	v.Helper()
	r := v.root.request(context.Background(), "PUT", target, nil)
	r.ContentLength = length
	if err := sig.SignV4(r, v.root.cred, region, sig.UnsignedPayload, time.Now()); err != nil {
		v.Fatal(err)
	}
	return r
}

// TestIdleBody: the rest of H2. A body that stands still is given up, and so is its
// connection, however much of it is missing.
func TestIdleBody(t *testing.T) {
	t.Parallel()
	v := newVictim(t, func(o *server.Options) { o.BodyIdle = time.Second })
	for _, length := range []int64{1001, 100_000, 1 << 20} {
		r := v.unsignedPut("/vault/new", length)
		c := v.dial()
		c.say(t, wire(r, content(1, 1000), same))
		checkRefused(t, "a body that stands still", c.hear(t, r), nil, 400, "RequestTimeout")
		c.ends(t, "a body that stands still")
	}
	v.unharmed()
}

// TestUnreadBody: who is refused before a byte of the body is read holds no
// connection by not sending it. It needs no credentials to try.
func TestUnreadBody(t *testing.T) {
	t.Parallel()
	v := newVictim(t, func(o *server.Options) { o.BodyIdle = time.Second })
	body := content(1, 100_000)
	put := v.root.request(context.Background(), "PUT", "/vault/new", nil)
	put.ContentLength = int64(len(body))
	get := v.root.request(context.Background(), "GET", "/public/page", nil)
	get.ContentLength = int64(len(body))
	for _, n := range []int{0, 10, len(body) - 1} {
		c := v.dial()
		c.say(t, wire(put, body[:n], same))
		checkRefused(t, "a PUT", c.hear(t, put), nil, 403, "AccessDenied")
		c.ends(t, "a PUT whose body does not come")
		c = v.dial()
		c.say(t, wire(get, body[:n], same))
		if a := c.hear(t, get); a.status != 200 || string(a.body) != "for all" {
			t.Errorf("a GET: %v", a)
		}
		c.ends(t, "a GET whose body does not come")
	}
	v.unharmed()
}

// TestExpectContinue: the body is asked for only when it will be read, and a refusal comes
// instead. Then the client must not be waited for.
func TestExpectContinue(t *testing.T) {
	v := newVictim(t)
	expect := func(h string) string {
		return strings.Replace(h, "HTTP/1.1\r\n", "HTTP/1.1\r\nExpect: 100-continue\r\n", 1)
	}
	refused := v.unsignedPut("/no-such-bucket/new", 1000)
	c := v.dial()
	c.say(t, wire(refused, nil, expect))
	a := c.hear(t, refused)
	checkRefused(t, "a refused PUT", a, nil, 404, "NoSuchBucket")
	if a.header.Get("Connection") != "close" {
		t.Errorf("the connection goes on with a body that may come or not: %v", a.header)
	}
	c.ends(t, "a refused PUT that expects 100")

	good := v.unsignedPut("/vault/new", 1000)
	c = v.dial()
	c.say(t, wire(good, nil, expect))
	line, err := c.r.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	if _, err := c.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	c.say(t, content(1, 1000))
	if a := c.hear(t, good); a.status != 200 {
		t.Errorf("a PUT that was asked to go on: %v", a)
	}
	v.root.must(t, 204, "DELETE", "/vault/new", nil)
	v.unharmed()
}

// TestKeepAlive: after an answer the connection is at the next request exactly, or
// closed: whether the body was read, refused in the middle, or never looked at.
func TestKeepAlive(t *testing.T) {
	v := newVictim(t)
	body := content(1, 50_000)
	wrong := v.request("PUT", "/vault/new", body)
	wrong.Header.Set("Content-Length", "50000")
	get := v.request("GET", "/vault/secret", nil)
	withBody := v.root.request(context.Background(), "GET", "/vault/secret", body)
	v.root.sign(withBody, body)
	anonymous := v.root.request(context.Background(), "PUT", "/vault/new", body)
	badMD5 := v.request("PUT", "/vault/new", body, header("Content-Md5", contentMD5([]byte("other"))))
	for _, tc := range []struct {
		name   string
		r      *http.Request
		body   []byte
		status int
	}{
		{"a body with other bytes", wrong, content(2, 50_000), 400},
		{"a wrong Content-MD5", badMD5, body, 400},
		{"not allowed", anonymous, body, 403},
		{"a GET with a body", withBody, body, 200},
		{"no such bucket", v.request("PUT", "/no-such-bucket/new", body), body, 404},
		{"a chunk that is none", sendFramed(v.request("PUT", "/vault/new", body, header("X-Amz-Content-Sha256", sig.PayloadStreamUnsignedTrailer.String()),
			header("X-Amz-Decoded-Content-Length", "50000")), body), body, 400},
	} {
		c := v.dial()
		c.say(t, wire(tc.r, append(bytes.Clone(tc.body), wire(get, nil, same)...), same))
		a := c.hear(t, tc.r)
		if a.status != tc.status {
			t.Errorf("%s: %v", tc.name, a)
			continue
		}
		if a.header.Get("Connection") == "close" {
			t.Errorf("%s: the connection was closed, though all was sent", tc.name)
			continue
		}
		if a := c.hear(t, get); a.status != 200 || string(a.body) != secretBody {
			t.Errorf("%s: the request behind it: %v", tc.name, a)
		}
	}
	v.unharmed()
}
