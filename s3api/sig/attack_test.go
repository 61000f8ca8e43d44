package sig

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// signedHeader returns a fresh GET, signed in its header, and its credential.
func signedHeader(t testing.TB) (*http.Request, Credential) {
	t.Helper()
	c := randomCredential()
	r := newRequest(t, "GET", "http://s3.example.com/bucket/key", "")
	if err := SignV4(r, c, "us-east-1", emptySHA256, exampleTime); err != nil {
		t.Fatal(err)
	}
	return sent(t, r), c
}

func verify(v *Verifier, r *http.Request) error {
	_, err := v.Verify(context.Background(), r)
	return err
}

type headerAttack struct {
	name   string
	change func(*http.Request)
	code   string
	text   string
}

// replaced changes the Authorization header.
func replaced(old, with string) func(*http.Request) {
	return func(r *http.Request) {
		a := r.Header.Get("Authorization")
		b := strings.Replace(a, old, with, 1)
		if a == b {
			panic(old + " is not in " + a)
		}
		r.Header.Set("Authorization", b)
	}
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func add(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func del(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }

// malformedHeaders are refused for their date or their Authorization header.
func malformedHeaders() []headerAttack {
	return []headerAttack{
		{"S-A3 no date", del("X-Amz-Date"), CodeAccessDenied, "requires a valid Date or x-amz-date"},
		{"S-A3 bad date", set("X-Amz-Date", "20130524T000000"), CodeAccessDenied, "requires a valid Date"},
		{"S-A3 date with fraction", set("X-Amz-Date", "20130524T000000.1Z"), CodeAccessDenied, "requires a valid Date"},
		{"S-A3 date of another day", set("X-Amz-Date", "20130523T235959Z"), CodeAuthorizationHeaderMalformed, "Invalid credential date"},
		{"S-A3 before the epoch", set("X-Amz-Date", "19500524T000000Z"), CodeAccessDenied, "requires a valid Date"},
		{"S-A4 region", replaced("/us-east-1/", "/eu-west-1/"), CodeAuthorizationHeaderMalformed, "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'us-east-1'"},
		{"S-A4 service", replaced("/s3/", "/ec2/"), CodeAuthorizationHeaderMalformed, "incorrect service"},
		{"S-A4 terminator", replaced("/aws4_request", "/aws5_request"), CodeAuthorizationHeaderMalformed, "incorrect terminal"},
		{"S-A4 credential short", replaced("/us-east-1/", "/"), CodeAuthorizationHeaderMalformed, "the Credential is mal-formed"},
		{"S-A4 credential long", replaced("/us-east-1/", "/us/east/1/"), CodeAuthorizationHeaderMalformed, "the Credential is mal-formed"},
		{"S-A4 no key", replaced("Credential=TEST", "Credential=/"), CodeAuthorizationHeaderMalformed, "the Credential is mal-formed"},
		{"S-A4 long key", replaced("Credential=", "Credential="+strings.Repeat("K", 200)), CodeAuthorizationHeaderMalformed, "the Credential is mal-formed"},
		{"S-A4 credential date", replaced("/20130524/", "/2013-05-24/"), CodeAuthorizationHeaderMalformed, "incorrect date format"},
		{"S-A4 credential date, other day", replaced("/20130524/", "/20130525/"), CodeAuthorizationHeaderMalformed, "Invalid credential date"},
		{"S-A4 no Credential", replaced("Credential=", "Credential_="), CodeAuthorizationHeaderMalformed, "three components"},
		{"S-A4 no SignedHeaders", replaced(", SignedHeaders=host;x-amz-content-sha256;x-amz-date", ""), CodeAuthorizationHeaderMalformed, "missing SignedHeaders"},
		{"S-A4 empty SignedHeaders", replaced("SignedHeaders=host;x-amz-content-sha256;x-amz-date", "SignedHeaders="), CodeAuthorizationHeaderMalformed, "SignedHeaders must be given once"},
		{"S-A4 no Signature", replaced(", Signature=", ",Credential="), CodeAuthorizationHeaderMalformed, "Credential must be given once"},
		{"S-A4 Signature twice", replaced(", Signature=", ", Signature=00, Signature="), CodeAuthorizationHeaderMalformed, "Signature must be given once"},
		{"S-A4 nothing", set("Authorization", "AWS4-HMAC-SHA256 "), CodeAuthorizationHeaderMalformed, "three components"},
		{"S-A4 header signed twice", replaced("=host;", "=host;host;"), CodeAuthorizationHeaderMalformed, "SignedHeaders are mal-formed"},
		{"S-A4 header without name", replaced("=host;", "=host;;"), CodeAuthorizationHeaderMalformed, "SignedHeaders are mal-formed"},
	}
}

// forgedHeaders are refused for what is signed, or how.
func forgedHeaders() []headerAttack {
	return []headerAttack{
		{"S-A1 signature upper case", func(r *http.Request) {
			a, s, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature="+strings.ToUpper(s))
		}, CodeSignatureDoesNotMatch, ""},
		{"S-A1 signature cut", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1])
		}, CodeSignatureDoesNotMatch, ""},
		{"S-A1 a header more is signed", replaced("=host;", "=accept;host;"), CodeSignatureDoesNotMatch, ""},
		{"S-A5 unsigned copy source", set("X-Amz-Copy-Source", "/other/key"), CodeAccessDenied, "There were headers present in the request which were not signed"},
		{"S-A5 unsigned acl", set("X-Amz-Acl", "public-read"), CodeAccessDenied, "not signed"},
		{"S-A5 unsigned tagging", set("X-Amz-Tagging", "a=b"), CodeAccessDenied, "not signed"},
		{"S-A5 unsigned redirect", set("X-Amz-Website-Redirect-Location", "/"), CodeAccessDenied, "not signed"},
		{"S-A5 unsigned token", set("X-Amz-Security-Token", "t"), CodeAccessDenied, "not signed"},
		{"S-A5 host not signed", replaced("=host;", "="), CodeAccessDenied, "not signed"},
		{"S-A5 date not signed", replaced(";x-amz-date", ""), CodeAccessDenied, "not signed"},
		{"S-A8 Authorization twice", add("Authorization", "AWS4-HMAC-SHA256 x"), CodeInvalidArgument, "must be given once"},
		{"S-A8 x-amz-date twice", add("X-Amz-Date", "20130524T000000Z"), CodeInvalidArgument, "must be given once"},
		{"S-A8 payload hash twice", add("X-Amz-Content-Sha256", emptySHA256), CodeInvalidArgument, "must be given once"},
		{"S-A8 token twice", func(r *http.Request) { r.Header["X-Amz-Security-Token"] = []string{"a", "b"} }, CodeInvalidArgument, "must be given once"},
		{"S-B2 no payload hash", del("X-Amz-Content-Sha256"), CodeInvalidRequest, "Missing required header for this request: x-amz-content-sha256"},
		{"S-B2 no hex", set("X-Amz-Content-Sha256", strings.Repeat("z", 64)), CodeInvalidArgument, "or a valid sha256 value"},
		{"S-B2 short hex", set("X-Amz-Content-Sha256", emptySHA256[:62]), CodeInvalidArgument, "or a valid sha256 value"},
		{"S-B2 unknown stream", set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA512-PAYLOAD"), CodeInvalidArgument, "or a valid sha256 value"},
		{"S-B2 asymmetric stream", set("X-Amz-Content-Sha256", streamECDSA), CodeNotImplemented, ""},
		{"S-A6 also presigned", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=00" }, CodeInvalidArgument, "Only one auth mechanism allowed"},
		{"S-A6 also version 2", func(r *http.Request) { r.URL.RawQuery = "AWSAccessKeyId=a&Signature=b" }, CodeInvalidArgument, "Only one auth mechanism allowed"},
		{"S-A12 empty Authorization", set("Authorization", ""), CodeAccessDenied, ""},
		{"S-A12 one word", set("Authorization", "HAHAHA"), CodeInvalidArgument, "one and only one ' '"},
		{"S-A12 other scheme", set("Authorization", "Basic QWxhZGRpbjpvcGVu"), CodeInvalidArgument, "Unsupported Authorization Type"},
		{"S-A12 asymmetric scheme", set("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=a"), CodeInvalidArgument, "Unsupported Authorization Type"},
		{"S-A12 version 2 garbage", set("Authorization", "AWS HAHAHA"), CodeInvalidArgument, "Expected AwsAccessKeyId:signature"},
	}
}

func TestHeaderV4Attacks(t *testing.T) {
	for _, c := range append(malformedHeaders(), forgedHeaders()...) {
		t.Run(c.name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "BREW"} {
				r, credential := signedHeader(t)
				r.Method = method
				c.change(r)
				e := wantCode(t, verify(verifierOf(credential, exampleTime), r), c.code)
				if !strings.Contains(e.Message, c.text) {
					t.Fatalf("%s: %q lacks %q", method, e.Message, c.text)
				}
			}
		})
	}
}

func TestRegionIsInTheDetail(t *testing.T) {
	r, c := signedHeader(t)
	v := verifierOf(c, exampleTime)
	v.Region = "eu-central-1"
	e := wantCode(t, verify(v, r), CodeAuthorizationHeaderMalformed)
	if len(e.Detail) != 1 || e.Detail[0] != (Detail{"Region", "eu-central-1"}) {
		t.Fatal(e.Detail)
	}
}

func TestHeadersNotSignedAreNamed(t *testing.T) {
	r, c := signedHeader(t)
	r.Header.Set("X-Amz-Tagging", "a=b")
	r.Header.Set("X-Amz-Copy-Source", "/b/k")
	e := wantCode(t, verify(verifierOf(c, exampleTime), r), CodeAccessDenied)
	if len(e.Detail) != 1 || e.Detail[0] != (Detail{"HeadersNotSigned", "x-amz-copy-source, x-amz-tagging"}) {
		t.Fatal(e.Detail)
	}
}

func TestSkew(t *testing.T) {
	for _, c := range []struct {
		off time.Duration
		ok  bool
	}{
		{0, true}, {15 * time.Minute, true}, {-15 * time.Minute, true},
		{15*time.Minute + time.Second, false}, {-15*time.Minute - time.Second, false},
	} {
		r, credential := signedHeader(t)
		err := verify(verifierOf(credential, exampleTime.Add(c.off)), r)
		if c.ok && err != nil {
			t.Fatalf("%v: %v", c.off, err)
		}
		if !c.ok {
			wantCode(t, err, CodeRequestTimeTooSkewed)
		}
		v2 := newRequest(t, "GET", "http://s3.example.com/bucket/key", "")
		if err := SignV2(v2, credential, "", exampleTime); err != nil {
			t.Fatal(err)
		}
		err = verify(verifierOf(credential, exampleTime.Add(c.off)), sent(t, v2))
		if c.ok && err != nil {
			t.Fatalf("version 2, %v: %v", c.off, err)
		}
		if !c.ok {
			wantCode(t, err, CodeRequestTimeTooSkewed)
		}
	}
}

func TestAnonymous(t *testing.T) {
	v := verifierOf(randomCredential(), exampleTime)
	const head = " HTTP/1.1\r\nHost: s3.example.com\r\n"
	for _, a := range []struct{ name, wire, code string }{
		{"GET", "GET /b/k" + head + "\r\n", ""},
		{"Expires alone is no credential", "GET /b/k?Expires=1" + head + "\r\n", ""},
		{"OPTIONS *", "OPTIONS *" + head + "\r\n", ""},
		{"PUT", "PUT /b/k" + head + "Content-Length: 2\r\n\r\nab", ""},
		{"PUT with hash", "PUT /b/k" + head + "x-amz-content-sha256: " + hexSHA256("ab") + "\r\nContent-Length: 2\r\n\r\nab", ""},
		{"PUT with wrong hash", "PUT /b/k" + head + "x-amz-content-sha256: " + hexSHA256("abc") + "\r\nContent-Length: 2\r\n\r\nab", CodeXAmzContentSHA256Mismatch},
		{"PUT with chunk signatures", "PUT /b/k" + head + "x-amz-content-sha256: " + streamSigned + "\r\nContent-Length: 2\r\n\r\nab", CodeInvalidRequest},
		{"unsigned trailer without declaration", "PUT /b/k" + head + "Content-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 2\r\n" +
			"x-amz-trailer: x-amz-checksum-crc32\r\nContent-Length: 48\r\n\r\n2\r\nab\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", ""},
		{"S-A12 credentials in lower case", "GET /b/k?x-amz-signature=0&x-amz-credential=k" + head + "\r\n", CodeAuthorizationQueryParametersError},
		{"S-C4 override", "GET /b/k?response-content-type=text/html" + head + "\r\n", CodeInvalidRequest},
		{"S-C4 override on HEAD", "HEAD /b/k?response-expires=now" + head + "\r\n", CodeInvalidRequest},
		{"S-B7 too long", "PUT /b/k" + head + "Content-Length: 5368709121\r\n\r\n", CodeEntityTooLarge},
	} {
		t.Run(a.name, func(t *testing.T) {
			wire := a.wire
			if i := strings.Index(wire, "Content-Length: 48"); i >= 0 {
				head, body, _ := strings.Cut(wire, "\r\n\r\n")
				wire = strings.Replace(head, "Content-Length: 48", "Transfer-Encoding: chunked", 1) + "\r\n\r\n" + chunkedTransfer(body)
			}
			id, body, _, err := readAll(v, received(t, wire))
			if a.code != "" {
				wantCode(t, err, a.code)
				return
			}
			if err != nil || id.Form != FormAnonymous || id.AccessKey != "" || strings.HasPrefix(a.wire, "PUT") && string(body) != "ab" {
				t.Fatalf("%+v %q %v", id, body, err)
			}
		})
	}
}

// A signed request may override response headers, but not with line breaks.
func TestOverridesWithLineBreaks(t *testing.T) {
	c := randomCredential()
	for value, ok := range map[string]bool{"text/plain": true, "a%0d%0aSet-Cookie:x": false, "a%00": false} {
		r := newRequest(t, "GET", "http://s3.example.com/bucket/key?response-content-type="+value, "")
		if err := SignV4(r, c, "us-east-1", emptySHA256, exampleTime); err != nil {
			t.Fatal(err)
		}
		err := verify(verifierOf(c, exampleTime), sent(t, r))
		if ok && err != nil {
			t.Fatal(err)
		}
		if !ok {
			wantCode(t, err, CodeInvalidArgument)
		}
	}
}

// An unknown key does what a wrong signature does: one look-up, one signature.
func TestUnknownKeyDoesTheSameWork(t *testing.T) {
	r, c := signedHeader(t)
	v := verifierOf(Credential{AccessKey: c.AccessKey, Secret: NewSecret("another")}, exampleTime)
	wantCode(t, verify(v, r), CodeSignatureDoesNotMatch)
	unknown := testing.AllocsPerRun(50, func() {
		r2 := r.Clone(context.Background())
		r2.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Credential=TEST", "Credential=FAKE", 1))
		wantCode(t, verify(v, r2), CodeInvalidAccessKeyID)
	})
	wrong := testing.AllocsPerRun(50, func() {
		r2 := r.Clone(context.Background())
		r2.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Credential=TEST", "Credential=TEST", 1))
		wantCode(t, verify(v, r2), CodeSignatureDoesNotMatch)
	})
	if d := unknown - wrong; d < -6 || d > 6 {
		t.Fatalf("%v allocations for an unknown key, %v for a wrong signature", unknown, wrong)
	}
	if len(v.keys.young) != 2 { // the known key and the one stand-in
		t.Fatalf("strangers fill the cache: %d entries", len(v.keys.young))
	}
}

// A key without a secret is a key that nobody has.
func TestEmptySecretIsNobodys(t *testing.T) {
	c := Credential{AccessKey: "EMPTY"}
	r4 := newRequest(t, "GET", "http://s3.example.com/b/k", "")
	if err := SignV4(r4, c, "us-east-1", emptySHA256, exampleTime); err != nil {
		t.Fatal(err)
	}
	r2 := newRequest(t, "GET", "http://s3.example.com/b/k", "")
	if err := SignV2(r2, c, "", exampleTime); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*http.Request{r4, r2} {
		wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeInvalidAccessKeyID)
	}
}

func TestLookupErrors(t *testing.T) {
	r, c := signedHeader(t)
	v := verifierOf(c, exampleTime)
	broken := errors.New("no quorum")
	v.Lookup = func(context.Context, string, string) (Secret, bool, error) { return Secret{}, false, broken }
	if err := verify(v, r); err != broken {
		t.Fatal(err)
	}
	// A token that belongs to no one, properly signed.
	c.Session = NewSecret("forged")
	r = newRequest(t, "GET", "http://s3.example.com/bucket/key", "")
	if err := SignV4(r, c, "us-east-1", emptySHA256, exampleTime); err != nil {
		t.Fatal(err)
	}
	c.Session = Secret{}
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeInvalidToken)
}

// What must not reach a handler, through a real server: net/http refuses some of it
// with 400, the verifier the rest.
func TestMalformedHTTPOverTCP(t *testing.T) {
	v := verifierOf(randomCredential(), exampleTime)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := verify(v, r); err != nil {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	for _, c := range []struct {
		name, wire string
		status     int
	}{
		{"nothing wrong", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		{"host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"space before colon", "GET / HTTP/1.1\r\nHost: a\r\nx-amz-acl : private\r\n\r\n", 400},
		{"two lengths", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		{"negative length", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nab", 400},
		{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nx-amz-acl: a\rb\r\n\r\n", 400},
		{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nx-amz-acl: a\x00b\r\n\r\n", 400},
		{"bad escape in the path", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"Authorization twice", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: AWS a:b\r\nAuthorization: AWS a:b\r\n\r\n", 403},
		{"empty Authorization", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization:\r\n\r\n", 403},
		{"folded Authorization", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: AWS\r\n a:b\r\n\r\n", 403},
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.wire); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != c.status {
			t.Errorf("%s: %v %v", c.name, answer, err)
		}
		conn.Close()
	}
}
