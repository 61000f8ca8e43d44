package sig

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// What the policy condition keys and the logs read of each form.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		form                Form
		name, auth, version string
	}{
		{FormAnonymous, "anonymous", "", ""},
		{FormV4Header, "v4-header", "REST-HEADER", "AWS4-HMAC-SHA256"},
		{FormV4Query, "v4-presigned", "REST-QUERY-STRING", "AWS4-HMAC-SHA256"},
		{FormV2Header, "v2-header", "REST-HEADER", "AWS"},
		{FormV2Query, "v2-presigned", "REST-QUERY-STRING", "AWS"},
		{FormV4Post, "v4-post", "POST", "AWS4-HMAC-SHA256"},
		{FormV2Post, "v2-post", "POST", "AWS"},
	} {
		if c.form.String() != c.name || c.form.AuthType() != c.auth || c.form.SignatureVersion() != c.version {
			t.Errorf("%v %q %q", c.form, c.form.AuthType(), c.form.SignatureVersion())
		}
	}
	for kind := PayloadUnsigned; kind <= PayloadStreamUnsignedTrailer; kind++ {
		if got, _, err := parsePayload(kind.String()); kind != PayloadHashed && (err != nil || got != kind) {
			t.Errorf("%v: %v %v", kind, got, err)
		}
		if kind.Streaming() != strings.HasPrefix(kind.String(), "STREAMING-") {
			t.Errorf("%v", kind)
		}
	}
}

func TestIdentityOfAHeaderSignature(t *testing.T) {
	c := randomCredential()
	r := newRequest(t, "PUT", "http://s3.example.com/b/k", "body", "x-amz-acl", "private")
	if err := SignV4(r, c, "us-east-1", hexSHA256("body"), exampleTime); err != nil {
		t.Fatal(err)
	}
	id, err := verifierOf(c, exampleTime.Add(time.Minute)).Verify(context.Background(), sent(t, r))
	if err != nil {
		t.Fatal(err)
	}
	sum, ok := id.PayloadHash()
	if !ok || string(sum[:]) != string(mustHex(hexSHA256("body"))) || id.DecodedLength != 4 || id.Scope != (Scope{"20130524", "us-east-1", "s3"}) ||
		!id.Time.Equal(exampleTime) || !id.Expires.IsZero() || strings.Join(id.SignedHeaders, ";") != "host;x-amz-acl;x-amz-content-sha256;x-amz-date" ||
		id.AccessKey != c.AccessKey || id.Hoisted != nil || id.TrailerName() != "" {
		t.Fatalf("%+v", id)
	}
}

func TestErrorsAreComparable(t *testing.T) {
	err := error(errTrailer())
	if !errors.Is(err, &Error{Code: CodeMalformedTrailer}) || errors.Is(err, &Error{Code: CodeIncompleteBody}) ||
		errors.Is(err, &Error{Code: CodeMalformedTrailer, Message: "other"}) || !errors.Is(errLength(), errLength()) || errors.Is(errLength(), errTruncated()) {
		t.Fatal("Is")
	}
	if got := errNoDate().Error(); got != "AccessDenied: AWS authentication requires a valid Date or x-amz-date header" {
		t.Fatal(got)
	}
}

// What a presigned request says twice, in the query and in a header, must agree.
func TestPresignedTwice(t *testing.T) {
	c := randomCredential()
	c.Session = NewSecret("token")
	for _, change := range []struct {
		header, value string
		ok            bool
	}{{"", "", true}, {"X-Amz-Security-Token", "token", true}, {"X-Amz-Security-Token", "other", false}} {
		r := newRequest(t, "GET", "http://s3.example.com/b/k", "")
		if change.header != "" {
			r.Header.Set(change.header, change.value)
		}
		if err := PresignV4(r, c, "us-east-1", time.Minute, exampleTime); err != nil {
			t.Fatal(err)
		}
		err := verify(verifierOf(c, exampleTime), sent(t, r))
		if change.ok && err != nil {
			t.Fatal(err)
		}
		if !change.ok {
			wantCode(t, err, CodeInvalidArgument)
		}
	}
	r := newRequest(t, "GET", "http://s3.example.com/b/k", "")
	if err := PresignV2(r, c, "", exampleTime); err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery += "&x-amz-security-token=other"
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeInvalidArgument)
}

// A payload that is declared twice is no declaration.
func TestRepeatedPayloadHeaders(t *testing.T) {
	c := randomCredential()
	for _, name := range []string{"X-Amz-Content-Sha256", "X-Amz-Security-Token"} {
		r := newRequest(t, "PUT", "http://s3.example.com/b/k", "", name, unsignedPayload, name, unsignedPayload)
		if err := SignV2(r, c, "", exampleTime); err != nil {
			t.Fatal(err)
		}
		wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeInvalidArgument)
	}
	r := newRequest(t, "PUT", "http://s3.example.com/b/k", "", "X-Amz-Content-Sha256", "nonsense")
	if err := SignV2(r, c, "", exampleTime); err != nil {
		t.Fatal(err)
	}
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeInvalidArgument)
	r = newRequest(t, "PUT", "http://s3.example.com/b/k", "", "X-Amz-Content-Sha256", streamSigned)
	if err := SignV2(r, c, "", exampleTime); err != nil {
		t.Fatal(err)
	}
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeInvalidRequest)
}

// What cannot be sent is refused before anything is signed.
func TestStreamsThatCannotBeSent(t *testing.T) {
	sum := func() string { return "AAAAAA==" }
	for _, s := range []Stream{
		{Kind: PayloadHashed}, {Kind: PayloadStreamSigned, Length: -1}, {Kind: PayloadStreamSigned, ChunkSize: 100},
		{Kind: PayloadStreamSigned, Trailer: "x-amz-checksum-crc32", Checksum: sum}, {Kind: PayloadStreamSignedTrailer},
		{Kind: PayloadStreamUnsignedTrailer, Trailer: "x-amz-checksum-crc32"}, {Kind: PayloadStreamUnsignedTrailer, Checksum: sum},
	} {
		r := newRequest(t, "PUT", "http://s3.example.com/b/k", "")
		if err := SignV4Stream(r, randomCredential(), "us-east-1", s, exampleTime); err == nil || r.Header.Get("Authorization") != "" {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, life := range []time.Duration{0, time.Millisecond, -time.Hour, MaxExpires + time.Second} {
		if PresignV4(newRequest(t, "GET", "http://h/", ""), randomCredential(), "r", life, exampleTime) == nil {
			t.Error(life)
		}
	}
}

// Every trailer whose length is known before gives the right content length.
func TestTrailerLengths(t *testing.T) {
	for name, value := range map[string]string{
		"x-amz-checksum-crc32": strings.Repeat("A", 8), "x-amz-checksum-crc32c": strings.Repeat("A", 8), "x-amz-checksum-crc64nvme": strings.Repeat("A", 12),
		"x-amz-checksum-sha1": strings.Repeat("A", 28), "x-amz-checksum-sha256": strings.Repeat("A", 44),
	} {
		for _, kind := range []PayloadKind{PayloadStreamSignedTrailer, PayloadStreamUnsignedTrailer} {
			c := randomCredential()
			r := newRequest(t, "PUT", "http://s3.example.com/b/k", "hello")
			s := Stream{Kind: kind, Length: 5, Trailer: name, Checksum: func() string { return value }}
			if err := SignV4Stream(r, c, "us-east-1", s, exampleTime); err != nil || r.ContentLength <= 0 {
				t.Fatal(err, r.ContentLength)
			}
			_, body, trailer, err := readAll(verifierOf(c, exampleTime), sent(t, r))
			if err != nil || string(body) != "hello" || trailer.Get(name) != value {
				t.Fatalf("%s: %q %v %v", name, body, trailer, err)
			}
		}
	}
	if trailerLength("x-amz-checksum-xxhash3") != -1 {
		t.Error("a length of what is not known")
	}
}
