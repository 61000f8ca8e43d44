package sig

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// examplePolicy is that of Amazon's example of a browser's upload, line ends and all.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
const examplePolicy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNr" +
	"ZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJl" +
	"Y3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5" +
	"cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0s" +
	"DQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMt" +
	"ZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAw" +
	"WiIgfQ0KICBdDQp9"

var postTime = time.Date(2015, 12, 29, 1, 0, 0, 0, time.UTC)

// examplePost is the form of Amazon's example.
func examplePost() Fields {
	return Fields{
		"key": "user/user1/picture.jpg", "acl": "public-read", "content-type": "image/jpeg", "x-amz-meta-uuid": "14365123651274",
		"success_action_redirect":      "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
		"x-amz-server-side-encryption": "AES256", "x-amz-meta-tag": "",
		"x-amz-credential": exampleKey + "/20151229/us-east-1/s3/aws4_request", "x-amz-algorithm": algorithmV4, "x-amz-date": "20151229T000000Z",
		"policy": examplePolicy, "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
	}
}

func postRequest() *http.Request {
	r, err := http.NewRequest("POST", "http://s3.example.com/sigv4examplebucket", nil)
	if err != nil {
		panic(err)
	}
	return r
}

// checkPost verifies a form and whether it obeys its policy.
func checkPost(c Credential, now time.Time, f Fields, change func(*http.Request)) (*Identity, *PostPolicy, error) {
	r := postRequest()
	if change != nil {
		change(r)
	}
	id, p, err := verifierOf(c, now).VerifyPost(context.Background(), r, f)
	if err == nil && p != nil {
		err = p.Check(f, "sigv4examplebucket", now)
	}
	return id, p, err
}

func TestPostExample(t *testing.T) {
	id, _, err := checkPost(exampleCredential(), postTime, examplePost(), nil)
	if err != nil || id.AccessKey != exampleKey || id.Form != FormV4Post || id.Scope != (Scope{"20151229", "us-east-1", "s3"}) || id.DecodedLength != -1 {
		t.Fatalf("%+v %v", id, err)
	}
	f := Fields{"key": "user/user1/a"}
	document, _ := base64.StdEncoding.DecodeString(examplePolicy)
	SignPostV4(f, exampleCredential(), "us-east-1", document, time.Date(2015, 12, 29, 0, 0, 0, 0, time.UTC))
	if f["x-amz-signature"] != examplePost()["x-amz-signature"] {
		t.Fatal("we sign it otherwise")
	}
}

// What is changed of a signed form, and who refuses it.
func TestPostAttacks(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(Fields)
		now     time.Duration
		request func(*http.Request)
		code    string
		message string
	}{
		"as it is":       {code: ""},
		"a checksum":     {change: with("x-amz-checksum-sha256", "x"), code: ""},
		"to be ignored":  {change: with("x-ignore-me", "x"), code: ""},
		"other policy":   {change: with("policy", examplePolicy[:len(examplePolicy)-1]), code: CodeSignatureDoesNotMatch},
		"other sig":      {change: with("x-amz-signature", strings.Repeat("0", 64)), code: CodeSignatureDoesNotMatch},
		"upper case":     {change: with("x-amz-signature", strings.ToUpper(examplePost()["x-amz-signature"])), code: CodeSignatureDoesNotMatch},
		"unknown key":    {change: with("x-amz-credential", "NOBODY/20151229/us-east-1/s3/aws4_request"), code: CodeInvalidAccessKeyID},
		"other day":      {change: with("x-amz-credential", exampleKey+"/20151228/us-east-1/s3/aws4_request"), code: CodeAuthorizationQueryParametersError},
		"other region":   {change: with("x-amz-credential", exampleKey+"/20151229/eu-west-1/s3/aws4_request"), code: CodeAuthorizationQueryParametersError},
		"other service":  {change: with("x-amz-credential", exampleKey+"/20151229/us-east-1/iam/aws4_request"), code: CodeAuthorizationQueryParametersError},
		"bad credential": {change: with("x-amz-credential", exampleKey), code: CodeAuthorizationQueryParametersError},
		"bad date":       {change: with("x-amz-date", "2015-12-29T00:00:00Z"), code: CodeAuthorizationQueryParametersError},
		"other scheme":   {change: with("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256"), code: CodeAuthorizationQueryParametersError},
		"session token":  {change: with("x-amz-security-token", "x"), code: CodeInvalidToken},
		"no signature":   {change: without("x-amz-signature"), code: CodeInvalidArgument},
		"no policy":      {change: without("policy"), code: CodeInvalidArgument},
		"no date":        {change: without("x-amz-date"), code: CodeInvalidArgument},
		"no credential":  {change: without("x-amz-credential"), code: CodeInvalidArgument},
		"policy alone":   {change: without("x-amz-signature", "x-amz-credential", "x-amz-algorithm", "x-amz-date"), code: CodeInvalidArgument},
		"both versions":  {change: with("awsaccesskeyid", exampleKey), code: CodeInvalidArgument},
		"a header too": {request: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") }, code: CodeInvalidArgument,
			message: "Only one auth mechanism"},
		"a query too":      {request: func(r *http.Request) { r.URL.RawQuery = "x-amz-signature=0" }, code: CodeInvalidArgument, message: "Only one auth mechanism"},
		"a v2 query":       {request: func(r *http.Request) { r.URL.RawQuery = "AWSAccessKeyId=K&Signature=s&Expires=1" }, code: CodeInvalidArgument},
		"at the last":      {now: 35*time.Hour - time.Nanosecond, code: ""},
		"expired":          {now: 35 * time.Hour, code: CodeAccessDenied, message: "Invalid according to Policy: Policy expired."},
		"from the future":  {now: -76 * time.Minute, code: CodeAccessDenied, message: "not valid yet"},
		"S-C5 other key":   {change: with("key", "user/user2/x"), code: CodeAccessDenied, message: `Policy Condition failed: ["starts-with", "$key", "user/user1/"]`},
		"S-C5 other acl":   {change: with("acl", "public-read-write"), code: CodeAccessDenied, message: `["eq", "$acl", "public-read"]`},
		"S-C5 no acl":      {change: without("acl"), code: CodeAccessDenied},
		"S-C5 extra":       {change: with("x-amz-meta-other", "x"), code: CodeAccessDenied, message: "Extra input fields: x-amz-meta-other"},
		"S-C5 extra two":   {change: with("x-amz-tagging", "x", "expires", "x"), code: CodeAccessDenied, message: "Extra input fields: expires, x-amz-tagging"},
		"S-C5 bucket said": {change: with("bucket", "other"), code: CodeAccessDenied},
		"type list":        {change: with("content-type", "image/jpg,image/png, image/gif"), code: ""},
		"S-C5 type list":   {change: with("content-type", "image/jpg,text/plain"), code: CodeAccessDenied},
		"optional":         {change: without("x-amz-meta-tag"), code: ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := examplePost()
			if tc.change != nil {
				tc.change(f)
			}
			_, _, err := checkPost(exampleCredential(), postTime.Add(tc.now), f, tc.request)
			if tc.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if e := wantCode(t, err, tc.code); !strings.Contains(e.Message, tc.message) {
				t.Errorf("message %q", e.Message)
			}
		})
	}
}

func with(nameValues ...string) func(Fields) {
	return func(f Fields) {
		for i := 0; i < len(nameValues); i += 2 {
			f[nameValues[i]] = nameValues[i+1]
		}
	}
}

func without(names ...string) func(Fields) {
	return func(f Fields) {
		for _, n := range names {
			delete(f, n)
		}
	}
}

func TestPostV2(t *testing.T) {
	c := randomCredential()
	f := Fields{"key": "user/eric/a"}
	document := `{"expiration": "2007-12-01T12:00:00.000Z", "conditions": [{"bucket": "sigv4examplebucket"}, ["starts-with", "$key", "user/eric/"]]}`
	SignPostV2(f, c, []byte(document))
	now := time.Date(2007, 12, 1, 11, 59, 59, 0, time.UTC)
	id, p, err := checkPost(c, now, f, nil)
	if err != nil || id.AccessKey != c.AccessKey || id.Form != FormV2Post || p.Least != 0 || p.Most <= 1<<50 {
		t.Fatalf("%+v %+v %v", id, p, err)
	}
	for _, tc := range []struct {
		change func(Fields)
		code   string
	}{
		{with("signature", f["signature"][:8]), CodeSignatureDoesNotMatch},
		{with("awsaccesskeyid", "NOBODY"), CodeInvalidAccessKeyID},
		{with("policy", base64.StdEncoding.EncodeToString([]byte(strings.Replace(document, "eric", "anna", 1)))), CodeSignatureDoesNotMatch},
		{with("x-amz-security-token", "x"), CodeInvalidToken},
		{without("signature"), CodeInvalidArgument},
		{without("awsaccesskeyid"), CodeInvalidArgument},
		{without("policy"), CodeInvalidArgument},
		{without("policy", "signature"), CodeInvalidArgument},
		{with("x-amz-signature", "0"), CodeInvalidArgument},
	} {
		changed := maps.Clone(f)
		tc.change(changed)
		_, _, err := checkPost(c, now, changed, nil)
		wantCode(t, err, tc.code)
	}
	v := verifierOf(c, now)
	v.AllowV2 = false
	_, _, err = v.VerifyPost(context.Background(), postRequest(), f)
	wantCode(t, err, CodeInvalidRequest)
}

func TestPostAnonymous(t *testing.T) {
	id, p, err := checkPost(randomCredential(), postTime, Fields{"key": "k", "acl": "private", "submit": "Upload"}, nil)
	if err != nil || p != nil || id.AccessKey != "" || id.Form != FormAnonymous {
		t.Fatalf("%+v %v %v", id, p, err)
	}
}

// A policy is good for the bucket it names, whatever a form says (CVE-2023-43040).
func TestCVE_2023_43040_PostBucket(t *testing.T) {
	for document, code := range map[string]string{
		`{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"bucket": "mine"}, {"key": "k"}]}`:                  "",
		`{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"bucket": "yours"}, {"key": "k"}]}`:                 CodeAccessDenied,
		`{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"key": "k"}]}`:                                      CodeAccessDenied,
		`{"expiration": "2030-01-01T00:00:00Z", "conditions": [["starts-with", "$bucket", "min"], {"key": "k"}]}`:   "",
		`{"expiration": "2030-01-01T00:00:00Z", "conditions": [["starts-with", "$bucket", "yours"], {"key": "k"}]}`: CodeAccessDenied,
	} {
		p, err := ParsePostPolicy([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []Fields{{"key": "k"}, {"key": "k", "bucket": "mine"}} {
			if err := p.Check(f, "mine", postTime); code == "" && err != nil || code != "" && !errors.Is(err, &Error{Code: code}) {
				t.Errorf("%s with %v: %v", document, f, err)
			}
		}
		if err := p.Check(Fields{"key": "k", "bucket": "yours"}, "mine", postTime); !errors.Is(err, &Error{Code: CodeAccessDenied}) {
			t.Errorf("%s: the form chose the bucket: %v", document, err)
		}
	}
}

func TestPostPolicyDocument(t *testing.T) {
	const head = `{"expiration": "2030-01-01T00:00:00Z", "conditions": `
	for document, want := range map[string]string{
		head + `[]}`: "",
		head + `[["content-length-range", 0, 1024]]}`:                               "0-1024",
		head + `[["content-length-range", "5", "6"]]}`:                              "5-6",
		head + `[["content-length-range", 0, 9], ["Content-Length-Range", 2, 99]]}`: "2-9",
		head + `[["EQ", "$Key", "\$a\v\\"], ["StArTs-WiTh", "$x-amz-meta-A", ""]]}`: "",
		head + `[["content-length-range", 0]]}`:                                     "bad",
		head + `[["content-length-range", -1, 0]]}`:                                 "bad",
		head + `[["content-length-range", 0.5, 1]]}`:                                "bad",
		head + `[["content-length-range", 0, 1e3]]}`:                                "bad",
		head + `[["content-length-range", 0, 9999999999999999999]]}`:                "bad",
		head + `[["content-length-range", 0, 1, 2]]}`:                               "bad",
		head + `[{}]}`: "bad",
		head + `[{"acl": "private", "key": "k"}]}`: "bad",
		head + `[{"acl": 1}]}`:                     "bad",
		head + `[{"acl": null}]}`:                  "bad",
		head + `[{"": "a"}]}`:                      "bad",
		head + `[["eq", "key", "k"]]}`:             "bad",
		head + `[["eq", "$", "k"]]}`:               "bad",
		head + `[["eq", "$key", 7]]}`:              "bad",
		head + `[["ends-with", "$key", "k"]]}`:     "bad",
		head + `[[]]}`:                             "bad",
		head + `["x"]}`:                            "bad",
		head + `[true]}`:                           "bad",
		head + `{}}`:                               "bad",
		head + `[[[[["x"]]]]]}`:                    "bad",
		head + `[]} {}`:                            "bad",
		head + `[], "conditions": []}`:             "bad",
		head + `[], "more": 1}`:                    "bad",
		head + "[{\"acl\": \"\xff\"}]}":            "bad",
		`{"EXPIRATION": "2030-01-01T00:00:00Z", "conditions": []}`:                                        "bad",
		`{"expiration": "2030-01-01T00:00:00Z", "CONDITIONS": []}`:                                        "bad",
		`{"expiration": "2030-01-01T00:00:00Z"}`:                                                          "bad",
		`{"conditions": []}`:                                                                              "bad",
		`{"expiration": "2030-01-01 00:00:00+00:00", "conditions": []}`:                                   "bad",
		`{"expiration": "2030-01-01T00:00:00,5Z", "conditions": []}`:                                      "bad",
		`{"expiration": "2030-13-01T00:00:00Z", "conditions": []}`:                                        "bad",
		`{"expiration": 2030, "conditions": []}`:                                                          "bad",
		`{"expiration": "2040-01-01T00:00:00Z", "expiration": "2030-01-01T00:00:00Z", "conditions": [] }`: "bad",
		``:   "bad",
		`[]`: "bad",
		`{`:  "bad",
	} {
		p, err := ParsePostPolicy([]byte(document))
		switch want {
		case "bad":
			if !errors.Is(err, &Error{Code: CodeInvalidPolicyDocument}) {
				t.Errorf("%s: %v", document, err)
			}
		case "":
			if err != nil {
				t.Errorf("%s: %v", document, err)
			}
		default:
			if err != nil || want != json.Number(itoa(p.Least)).String()+"-"+itoa(p.Most) {
				t.Errorf("%s: %+v %v", document, p, err)
			}
		}
	}
	p, err := ParsePostPolicy([]byte(head + `[{"bucket": "b"}, ["eq", "$key", "\$a\v\\$"]]}`))
	if err != nil || p.Check(Fields{"key": "$a\v\\$"}, "b", postTime) != nil {
		t.Errorf("escapes: %+v %v", p, err)
	}
}

// What a policy says of an encryption key is in no error.
func TestPostPolicyKeepsKeys(t *testing.T) {
	p, err := ParsePostPolicy([]byte(`{"expiration": "2030-01-01T00:00:00Z", "conditions": [{"x-amz-server-side-encryption-customer-key": "c2VjcmV0"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(Fields{}, "b", postTime); err == nil || strings.Contains(err.Error(), "c2VjcmV0") || !strings.Contains(err.Error(), "customer-key") {
		t.Fatal(err)
	}
}

func itoa(n int64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// Whatever a policy is, it is read or refused with an *Error; and no form obeys a policy
// that does not speak of each of its fields.
func FuzzPostPolicy(f *testing.F) {
	document, _ := base64.StdEncoding.DecodeString(examplePolicy)
	f.Add(document, "content-type", "image/png")
	f.Add([]byte(`{"expiration":"2030-01-01T00:00:00Z","conditions":[{"bucket":"b"},["starts-with","$key",""],["content-length-range",1,"2"]]}`), "key", "a")
	f.Add([]byte(`{"expiration":"2030-01-01T00:00:00Z","conditions":[["eq","$key","\$\v\u0041\\"]]}`), "x-ignore-", "")
	f.Fuzz(func(t *testing.T, document []byte, field, value string) {
		p, err := ParsePostPolicy(document)
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if p.Least < 0 || p.Most < 0 || p.Expires.IsZero() && !bytes.Contains(document, []byte("0001")) {
			t.Fatalf("%+v", p)
		}
		err = p.Check(Fields{field: value}, "b", time.Unix(0, 0))
		if err != nil {
			return
		}
		if !bytes.Contains(bytes.ToLower(document), []byte("b")) {
			t.Fatalf("%s covers no bucket", document)
		}
		for _, c := range p.conditions {
			if c.field == field {
				return
			}
		}
		if !freePostField(field) && field != "bucket" {
			t.Fatalf("%q is not covered by %s", field, document)
		}
	})
}
