package sig

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

// botocoreRequest is a request as botocore 1.43 made it, with Amazon's example
// credentials at exampleTime.
type botocoreRequest struct {
	Name, Method, URL string
	Headers           [][2]string
	Body              string // base64
}

func (b botocoreRequest) wire(t *testing.T) (string, []byte) {
	t.Helper()
	u, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(b.URL, "://")
	target := "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		target = rest[i:]
	}
	if target[0] == '?' {
		target = "/" + target
	}
	body, err := base64.StdEncoding.DecodeString(b.Body)
	if err != nil {
		t.Fatal(err)
	}
	var w strings.Builder
	w.WriteString(b.Method + " " + target + " HTTP/1.1\r\nHost: " + u.Host + "\r\n")
	chunked, sized := false, false
	for _, h := range b.Headers {
		w.WriteString(h[0] + ": " + h[1] + "\r\n")
		chunked = chunked || strings.EqualFold(h[0], "Transfer-Encoding")
		sized = sized || strings.EqualFold(h[0], "Content-Length")
	}
	if chunked {
		return w.String() + "\r\n" + chunkedTransfer(string(body)), body
	}
	if !sized && len(body) > 0 {
		w.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	return w.String() + "\r\n" + string(body), body
}

func TestBotocoreRequests(t *testing.T) {
	raw, err := os.ReadFile("testdata/botocore.json")
	if err != nil {
		t.Fatal(err)
	}
	var requests []botocoreRequest
	if err := json.Unmarshal(raw, &requests); err != nil {
		t.Fatal(err)
	}
	forms := map[Form]int{}
	kinds := map[PayloadKind]int{}
	for _, b := range requests {
		t.Run(b.Name, func(t *testing.T) {
			c := exampleCredential()
			if strings.Contains(b.Name, " token ") || strings.HasPrefix(b.Name, "token") {
				c.Session = NewSecret("SESSIONTOKENEXAMPLE")
			}
			v := verifierOf(c, exampleTime)
			v.VirtualHost = func(host string) (string, bool) { return strings.CutSuffix(host, ".s3.example.com:9000") }
			wire, body := b.wire(t)
			id, got, trailer, err := readAll(v, received(t, wire))
			if err != nil {
				t.Fatalf("%v\n%s", err, wire)
			}
			if !id.Payload.Streaming() && string(got) != string(body) {
				t.Fatalf("%q", got)
			}
			if id.TrailerName() != "" && trailer.Get(id.TrailerName()) == "" {
				t.Fatal("no trailer")
			}
			forms[id.Form]++
			kinds[id.Payload]++
		})
	}
	if len(forms) != 5 || kinds[PayloadStreamUnsignedTrailer] == 0 || kinds[PayloadHashed] == 0 || kinds[PayloadUnsigned] == 0 {
		t.Fatalf("%v %v", forms, kinds)
	}
}
