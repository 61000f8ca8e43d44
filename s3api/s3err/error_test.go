package s3err

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

func TestUnknownCodeIsAnInternalError(t *testing.T) {
	for _, e := range []*Error{New("NoSuchThing"), Newf("NoSuchThing", "secret %d", 1), From(coded{"NoSuchThing", "secret"})} {
		if e.Code != "InternalError" || e.Status != 500 || errors.Unwrap(e) == nil {
			t.Errorf("got %+v", e)
		}
	}
	if e := From(coded{"NoSuchThing", "secret"}); strings.Contains(e.Message, "secret") {
		t.Errorf("the message of an unknown code went out: %q", e.Message)
	}
}

func TestErrorsAreValues(t *testing.T) {
	base := New("InvalidArgument").With("ArgumentName", "x")
	a := base.With("ArgumentValue", "1")
	b := base.With("ArgumentValue", "2").Because(io.EOF)
	if len(base.Fields) != 1 || a.Fields[1].Value != "1" || b.Fields[1].Value != "2" || errors.Unwrap(base) != nil {
		t.Errorf("With shares: %+v, %+v, %+v", base, a, b)
	}
	if !Is(fmt.Errorf("wrapped: %w", a), "InvalidArgument") || Is(a, "InvalidRequest") || Is(io.EOF, "InvalidArgument") || Is(nil, "InvalidArgument") {
		t.Error("Is")
	}
	if b.Error() != "InvalidArgument: Invalid Argument" || !errors.Is(b, io.EOF) {
		t.Errorf("%v", b)
	}
	if New("SlowDown").RetryAfter != 1 || New("ServiceUnavailable").RetryAfter != 1 || New("NoSuchKey").RetryAfter != 0 {
		t.Error("RetryAfter")
	}
}

// coded is an error as packages of ours make them: fields Code and Message.
type coded struct{ Code, Message string }

func (c coded) Error() string                  { return "at /var/lib/disk0: " + c.Code }
func (c coded) S3Code() (code, message string) { return c.Code, c.Message }

type slow struct{}

func (slow) Error() string { return "read tcp 10.0.0.1:9000: i/o timeout" }
func (slow) Timeout() bool { return true }

func TestFrom(t *testing.T) {
	if From(nil) != nil {
		t.Error("From(nil)")
	}
	own := New("NoSuchKey")
	for _, tc := range []struct {
		err     error
		code    string
		message string
	}{
		{own, "NoSuchKey", own.Message},
		{fmt.Errorf("get: %w", own), "NoSuchKey", own.Message},
		{fmt.Errorf("sig: %w", coded{"SignatureDoesNotMatch", ""}), "SignatureDoesNotMatch", New("SignatureDoesNotMatch").Message},
		{coded{"AccessDenied", "Request has expired"}, "AccessDenied", "Request has expired"},
		{s3xml.ErrEmpty, "MissingRequestBodyError", "Request Body is empty"},
		{s3xml.Decode(strings.NewReader("<x>"), 10, new(s3xml.Delete)), "MalformedXML", New("MalformedXML").Message},
		{s3xml.Decode(strings.NewReader("<x>"), 2, new(s3xml.Delete)), "MaxMessageLengthExceeded", New("MaxMessageLengthExceeded").Message},
		{fmt.Errorf("body: %w", io.ErrUnexpectedEOF), "IncompleteBody", New("IncompleteBody").Message},
		{fmt.Errorf("barrier: %w", context.DeadlineExceeded), "ServiceUnavailable", New("ServiceUnavailable").Message},
		{context.Canceled, "RequestTimeout", New("RequestTimeout").Message},
		{fmt.Errorf("body: %w", slow{}), "RequestTimeout", New("RequestTimeout").Message},
		{os.ErrDeadlineExceeded, "RequestTimeout", New("RequestTimeout").Message},
		{io.EOF, "InternalError", New("InternalError").Message},
		{&inner{}, "InternalError", New("InternalError").Message},
	} {
		e := From(tc.err)
		if e.Code != tc.code || e.Message != tc.message || e.Status != New(tc.code).Status {
			t.Errorf("%v: got %+v, want %s %q", tc.err, e, tc.code, tc.message)
		}
		if e != own && !errors.Is(e, tc.err) {
			t.Errorf("%v: the cause is lost", tc.err)
		}
		if doc := string(Document(e, "r", "h", "/b")); strings.Contains(doc, "/var/lib") || strings.Contains(doc, "10.0.0.1") {
			t.Errorf("%v: the inside shows: %s", tc.err, doc)
		}
	}
}

type inner struct{}

func (*inner) Error() string { return "open /var/lib/disk0/pack: no such file" }

// Every refusal of the vocabulary has an answer; a new one fails here until it has.
func TestEveryRefusalIsMapped(t *testing.T) {
	want := map[event.Refusal]string{
		event.Refusal_REFUSAL_INVALID:             "InternalError",
		event.Refusal_REFUSAL_STALE_BASE:          "ServiceUnavailable",
		event.Refusal_REFUSAL_CANCELLED:           "ServiceUnavailable",
		event.Refusal_REFUSAL_FEATURE_LEVEL:       "NotImplemented",
		event.Refusal_REFUSAL_EXISTS:              "OperationAborted",
		event.Refusal_REFUSAL_NOT_FOUND:           "OperationAborted",
		event.Refusal_REFUSAL_BLOB_FENCED:         "ServiceUnavailable",
		event.Refusal_REFUSAL_PACK_RELEASED:       "ServiceUnavailable",
		event.Refusal_REFUSAL_PACK_IN_USE:         "ServiceUnavailable",
		event.Refusal_REFUSAL_NO_SUCH_BUCKET:      "NoSuchBucket BucketName=b",
		event.Refusal_REFUSAL_BUCKET_EXISTS:       "BucketAlreadyExists BucketName=b",
		event.Refusal_REFUSAL_BUCKET_OWNED:        "BucketAlreadyOwnedByYou BucketName=b",
		event.Refusal_REFUSAL_BUCKET_NOT_EMPTY:    "BucketNotEmpty BucketName=b",
		event.Refusal_REFUSAL_NO_SUCH_KEY:         "NoSuchKey Key=k",
		event.Refusal_REFUSAL_NO_SUCH_VERSION:     "NoSuchVersion Key=k VersionId=v",
		event.Refusal_REFUSAL_NO_SUCH_UPLOAD:      "NoSuchUpload UploadId=u",
		event.Refusal_REFUSAL_INVALID_PART:        "InvalidPart UploadId=u",
		event.Refusal_REFUSAL_PRECONDITION_FAILED: "PreconditionFailed Condition=If-Match",
		event.Refusal_REFUSAL_SOURCE_CHANGED:      "OperationAborted",
		event.Refusal_REFUSAL_CONFLICT:            "ConditionalRequestConflict Condition=If-Match Key=k",
		event.Refusal_REFUSAL_PLACEMENT:           "ServiceUnavailable",
		event.Refusal_REFUSAL_OBJECT_LOCKED:       "AccessDenied",
		event.Refusal_REFUSAL_QUOTA_EXCEEDED:      "QuotaExceeded",
		event.Refusal_REFUSAL_BUCKET_STATE:        "InvalidBucketState",
		event.Refusal_REFUSAL_LIMIT_EXCEEDED:      "TooManyParts",
		event.Refusal_REFUSAL_IN_USE:              "OperationAborted",
		event.Refusal_REFUSAL_OFFSET:              "InvalidWriteOffset",
		event.Refusal_REFUSAL_NOT_KEPT:            "InvalidRequest",
	}
	full := Subject{Bucket: "b", Key: "k", VersionID: "v", UploadID: "u", Condition: "If-Match"}
	for n := range event.Refusal_name {
		r := event.Refusal(n)
		if r == event.Refusal_REFUSAL_NONE {
			if FromRefusal(r) != nil || FromRefusal(r).About(full) != nil {
				t.Error("an accepted event is an error")
			}
			continue
		}
		w, ok := want[r]
		if !ok {
			t.Errorf("%v has no answer", r)
			continue
		}
		e := FromRefusal(r).About(full)
		got := e.Code
		for _, f := range e.Fields {
			got += " " + f.Name + "=" + f.Value
		}
		if got != w {
			t.Errorf("%v: got %q, want %q", r, got, w)
		}
		if e.Code == "ServiceUnavailable" && e.RetryAfter == 0 {
			t.Errorf("%v: no Retry-After", r)
		}
		if bare := FromRefusal(r).About(Subject{}); len(bare.Fields) != 0 || bare.Code != e.Code {
			t.Errorf("%v: %+v", r, bare)
		}
	}
	if e := PreconditionFailed("If-Match").About(Subject{Condition: "If-None-Match"}); len(e.Fields) != 1 {
		t.Errorf("About adds to fields that are there: %+v", e)
	}
	if e := FromRefusal(9999).About(full); e.Code != "InternalError" {
		t.Errorf("a refusal of a newer vocabulary: %+v", e)
	}
}

func TestDocument(t *testing.T) {
	e := New("NoSuchKey").With("Key", "a<b>&\x01\xff")
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&lt;b&gt;&amp;` + "\ufffd\ufffd" +
		`</Key><Resource>/b/&lt;k</Resource><RequestId>R1</RequestId><HostId>H/1+=</HostId></Error>`
	if got := string(Document(e, "R1", "H/1+=", "/b/<k")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	e.Resource = "/other"
	if got := string(Document(e, "", "", "/b")); !strings.Contains(got, "<Resource>/other</Resource><RequestId></RequestId><HostId></HostId>") {
		t.Error(got)
	}
	if got := string(Document(New("SlowDown"), "r", "h", "")); strings.Contains(got, "Resource") {
		t.Error(got)
	}
	if Document(New("NotModified"), "r", "h", "/b") != nil {
		t.Error("304 has a body")
	}
	for c := range rune(0x3000) { // whatever a client asks for, it can read the answer
		var doc struct{ Code string }
		if err := xml.Unmarshal(Document(New("NoSuchKey").With("Key", string(c)), "r", "h", "/b/"+string(c)), &doc); err != nil || doc.Code != "NoSuchKey" {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestFields(t *testing.T) {
	for want, e := range map[string]*Error{
		"InvalidArgument ArgumentName=max-keys ArgumentValue=x":                    InvalidArgument("max-keys", "x", "100%"),
		"PreconditionFailed Condition=If-None-Match":                               PreconditionFailed("If-None-Match"),
		"InvalidRange RangeRequested=bytes=9- ActualObjectSize=3":                  InvalidRange("bytes=9-", 3),
		"EntityTooSmall ProposedSize=1 MinSizeAllowed=5242880 PartNumber=2 ETag=e": EntityTooSmall(1, 5<<20, 2, "e"),
		"EntityTooLarge ProposedSize=6 MaxSizeAllowed=5":                           EntityTooLarge(6, 5),
		"InvalidPart UploadId=u PartNumber=3 ETag=e":                               InvalidPart("u", 3, "e"),
		"MethodNotAllowed Method=PUT ResourceType=SERVICE":                         MethodNotAllowed("PUT", "SERVICE"),
		"KeyTooLongError Size=1025 MaxSizeAllowed=1024":                            KeyTooLong(1025, 1024),
		"MetadataTooLarge Size=3000 MaxSizeAllowed=2048":                           MetadataTooLarge(3000, 2048),
	} {
		got := e.Code
		for _, f := range e.Fields {
			got += " " + f.Name + "=" + f.Value
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if e := InvalidArgument("a", "b", "100% wrong"); e.Message != "100% wrong" {
		t.Error(e.Message)
	}
}

// answer is a transport that answers with one error.
type answer struct{ e *Error }

func (a answer) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: a.e.Status,
		Header:     http.Header{"X-Amz-Request-Id": {"R1"}},
		Body:       io.NopCloser(bytes.NewReader(Document(a.e, "R1", "H1", "/b/k"))),
		Request:    r,
	}, nil
}

// The SDK makes its own types and codes of our documents.
func TestSDKReadsErrors(t *testing.T) {
	call := func(e *Error) error {
		c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String("http://store.invalid"), UsePathStyle: true,
			HTTPClient: answer{e}, Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1})
		_, err := c.GetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
		return err
	}
	var missing *types.NoSuchKey
	if err := call(New("NoSuchKey")); !errors.As(err, &missing) || missing.ErrorMessage() != "The specified key does not exist." {
		t.Errorf("NoSuchKey: %v", err)
	}
	for _, e := range []*Error{New("AccessDenied"), InvalidRange("bytes=9-", 3), New("SlowDown"), New("InsufficientStorage"), Newf("InvalidRequest", "<&>")} {
		var api smithy.APIError
		if err := call(e); !errors.As(err, &api) || api.ErrorCode() != e.Code || api.ErrorMessage() != e.Message {
			t.Errorf("%s: the SDK read %v", e.Code, err)
		}
	}
}

// FuzzDocument: whatever is in an error, its document is well-formed and says it.
func FuzzDocument(f *testing.F) {
	f.Add("message", "value", "/b/k")
	f.Add("<&>\"'", "]]>\t", "/\xff")
	f.Fuzz(func(t *testing.T, message, value, resource string) {
		doc := Document(Newf("InvalidArgument", "%s", message).With("ArgumentValue", value), "r", "h", resource)
		var got, want struct{ Code, Message, ArgumentValue, Resource, RequestId, HostId string }
		if err := xml.Unmarshal(doc, &got); err != nil {
			t.Fatalf("%v: %q", err, doc)
		}
		want.Code, want.RequestId, want.HostId = "InvalidArgument", "r", "h"
		// What XML cannot say, not even as a reference, is replaced.
		sayable := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
					return utf8.RuneError
				}
				return r
			}, s)
		}
		want.Message, want.ArgumentValue, want.Resource = sayable(message), sayable(value), sayable(resource)
		if utf8.ValidString(message+value+resource) && !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}
