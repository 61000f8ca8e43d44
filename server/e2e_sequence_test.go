package server_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
)

const (
	sequence    = "X-Ironman-Sequence"
	minSequence = "X-Ironman-Min-Sequence"
)

// sequences follows what answers say.
type sequences struct {
	*testing.T
	c    *client
	last uint64
}

// grows wants an answer to tell a later event than all before.
func (s *sequences) grows(what string, h http.Header) {
	s.Helper()
	n, err := strconv.ParseUint(h.Get(sequence), 10, 64)
	if err != nil || n <= s.last {
		s.Errorf("%s: sequence %q behind %d", what, h.Get(sequence), s.last)
	}
	s.last = max(s.last, n)
}

func (s *sequences) must(status int, method, target string, body []byte, change ...func(*http.Request)) *answer {
	s.Helper()
	a := s.c.must(s, status, method, target, body, change...)
	s.grows(method+" "+target, a.header)
	return a
}

// quiet wants answers that tell no event.
func (s *sequences) quiet(status int, method, target string, body []byte, change ...func(*http.Request)) {
	s.Helper()
	if a := s.c.must(s, status, method, target, body, change...); a.header.Get(sequence) != "" {
		s.Errorf("%s %s: sequence %s", method, target, a.header.Get(sequence))
	}
}

// TestSequences: the answers to mutations tell their events, each a later one than those
// before; other answers tell none.
func TestSequences(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/")
	s := &sequences{T: t, c: p.client()}
	s.must(200, "PUT", "/seen", nil)
	s.must(200, "PUT", "/seen/a", []byte("a"))
	s.must(200, "PUT", "/seen/b", []byte{}, header("X-Amz-Copy-Source", "/seen/a"))
	s.must(200, "PUT", "/seen/a?tagging", []byte("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"))
	s.must(200, "PUT", "/seen/a?acl", nil, header("X-Amz-Acl", "private"))
	s.must(204, "PUT", "/seen?policy", rules(rule("Allow", everybody, "s3:GetObject", "seen/open", "")))
	s.must(200, "PUT", "/seen?versioning", []byte("<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"))
	id := s.c.begin(t, "/seen/parts")
	part, done := []byte("part"), "/seen/parts?uploadId="+id
	s.must(200, "PUT", done+"&partNumber=1", part)
	a := s.must(200, "POST", done, completion(etagXML(part)))
	if again := s.c.must(t, 200, "POST", done, completion(etagXML(part))); again.header.Get(sequence) != a.header.Get(sequence) {
		t.Errorf("a completion tells event %s, and %s when it is repeated", a.header.Get(sequence), again.header.Get(sequence))
	}
	s.must(204, "DELETE", "/seen/b", nil)

	s.quiet(200, "GET", "/seen/a", nil)
	s.quiet(200, "HEAD", "/seen/a", nil)
	s.quiet(200, "GET", "/seen?list-type=2", nil)
	s.quiet(404, "GET", "/seen/none", nil)
	s.quiet(412, "PUT", "/seen/a", []byte("x"), header("If-None-Match", "*")) // which the view shows: no event

	// What was refused because it raced is an event, too.
	raced := false
	p.node.InterposeForTest(func(context.Context) {
		if !raced {
			raced = true
			s.must(200, "PUT", "/seen/once", []byte("first"))
		}
	})
	s.must(412, "PUT", "/seen/once", []byte("second"), header("If-None-Match", "*"))
	p.node.InterposeForTest(nil)
	s.callVault(p)
	s.must(204, "DELETE", "/seen/a", nil)
}

// callVault makes and changes a user by the IAM API, and asks for one.
func (s *sequences) callVault(p *inProcess) {
	s.Helper()
	var last http.Header
	h := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		a, err := p.transport.RoundTrip(r)
		if err == nil {
			last = a.Header
		}
		return a, err
	})}
	c := iam.New(iam.Options{Region: region, BaseEndpoint: &p.endpoint, HTTPClient: h, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(p.cred.AccessKey, string(p.cred.Secret.Reveal()), "")})
	name := aws.String("newcomer")
	if _, err := c.CreateUser(s.Context(), &iam.CreateUserInput{UserName: name}); err != nil {
		s.Fatal(err)
	}
	s.grows("CreateUser", last)
	if _, err := c.CreateAccessKey(s.Context(), &iam.CreateAccessKeyInput{UserName: name}); err != nil {
		s.Fatal(err)
	}
	s.grows("CreateAccessKey", last)
	for n, refused := range map[uint64]bool{s.last: false, s.last + 1000: true} {
		atLeast := iam.WithAPIOptions(smithyhttp.AddHeaderValue(minSequence, strconv.FormatUint(n, 10)))
		_, err := c.GetUser(s.Context(), &iam.GetUserInput{UserName: name}, atLeast)
		if (err != nil) != refused || last.Get(sequence) != "" {
			s.Errorf("GetUser at least at %d: %v, %v", n, err, last)
		}
		if refused {
			(&vaultRun{T: s.T}).want("ValidationError", 400, err)
		}
	}
}

// roundTrip is a function as http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestMinSequence: what has happened is shown, on the node that answered and on others;
// what has not is refused, without telling strangers how far the log has come.
func TestMinSequence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := openMember(t, filepath.Join(dir, "a"), "", nil)
	defer first.close(t)
	second := openMember(t, filepath.Join(dir, "b"), first.link, nil)
	defer second.close(t)
	one, two := first.client(), second.client()
	two.cred = one.cred
	one.must(t, 200, "PUT", "/seen", nil)
	for i := range 20 {
		body := fmt.Appendf(nil, "value %d", i)
		a := one.must(t, 200, "PUT", "/seen/key", body)
		if b := two.must(t, 200, "GET", "/seen/key", nil, header(minSequence, a.header.Get(sequence))); string(b.body) != string(body) {
			t.Errorf("behind %q the other node shows %q", body, b.body)
		}
		one, two = two, one
	}
	a := one.must(t, 200, "PUT", "/seen/open", []byte("for all"), header("X-Amz-Acl", "public-read"))
	for _, never := range []string{"999999999", "18446744073709551615", "-1", "", "soon", "1,2"} {
		h := header(minSequence, never)
		two.refused(t, 400, "InvalidArgument", "GET", "/seen/open", nil, h)
		two.refused(t, 400, "InvalidArgument", "GET", "/seen/none", nil, h)
		two.refused(t, 400, "InvalidArgument", "GET", "/none/none", nil, h)
		two.refused(t, 400, "InvalidArgument", "PUT", "/seen/open", []byte("changed"), h)
		wrong := *two
		wrong.cred.Secret = sig.NewSecret("some other secret")
		wrong.refused(t, 403, "SignatureDoesNotMatch", "GET", "/seen/open", nil, h)
		two.nobody().refused(t, 403, "AccessDenied", "GET", "/seen/key", nil, h)
		two.nobody().refused(t, 400, "InvalidArgument", "GET", "/seen/open", nil, h)
	}
	shown := two.nobody().must(t, 200, "GET", "/seen/open", nil, header(minSequence, a.header.Get(sequence)))
	if string(shown.body) != "for all" {
		t.Errorf("%q", shown.body)
	}
}
