package sig

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

type presignedAttack struct {
	name   string
	after  time.Duration
	change func(*http.Request)
	code   string
	text   string
}

func presignedAttacks(c Credential) []presignedAttack {
	q := func(change func(url.Values)) func(*http.Request) {
		return func(r *http.Request) {
			v := r.URL.Query()
			change(v)
			r.URL.RawQuery = v.Encode()
		}
	}
	put := func(name, value string) func(*http.Request) { return q(func(v url.Values) { v.Set(name, value) }) }
	const hour = time.Hour
	return []presignedAttack{
		{"S-C1 last second", hour, nil, "", ""},
		{"S-C1 expired", hour + time.Second, nil, CodeAccessDenied, "Request has expired"},
		{"S-C1 from the future, within skew", -MaxSkew, nil, "", ""},
		{"S-C1 from the future", -MaxSkew - time.Second, nil, CodeAccessDenied, "not valid yet"},
		{"S-C1 expires 0", 0, put("X-Amz-Expires", "0"), CodeAccessDenied, "Request has expired"},
		{"S-C1 expires -1", 0, put("X-Amz-Expires", "-1"), CodeAccessDenied, "Request has expired"},
		{"S-C1 expires 604801", 0, put("X-Amz-Expires", "604801"), CodeAccessDenied, "less than a week"},
		{"S-C1 expires 2^63", 0, put("X-Amz-Expires", "9223372036854775808"), CodeAuthorizationQueryParametersError, "should be a number"},
		{"S-C1 expires text", 0, put("X-Amz-Expires", "soon"), CodeAuthorizationQueryParametersError, "should be a number"},
		{"S-C1 expires empty", 0, put("X-Amz-Expires", ""), CodeAuthorizationQueryParametersError, "requires the X-Amz-Algorithm"},
		{"S-C1 expires twice", 0, q(func(v url.Values) { v.Add("X-Amz-Expires", "604800") }), CodeAuthorizationQueryParametersError, "given once"},
		{"S-A4 algorithm", 0, put("X-Amz-Algorithm", "AWS4-HMAC-SHA1"), CodeAuthorizationQueryParametersError, "only supports"},
		{"S-A4 no algorithm", 0, q(func(v url.Values) { v.Del("X-Amz-Algorithm") }), CodeAuthorizationQueryParametersError, "requires the X-Amz-Algorithm"},
		{"S-A4 no signature", 0, q(func(v url.Values) { v.Del("X-Amz-Signature") }), CodeAuthorizationQueryParametersError, "requires the X-Amz-Algorithm"},
		{"S-A4 no signed headers", 0, q(func(v url.Values) { v.Del("X-Amz-SignedHeaders") }), CodeAuthorizationQueryParametersError, "requires the X-Amz-Algorithm"},
		{"S-A4 only the algorithm", 0, func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" }, CodeAuthorizationQueryParametersError, "requires the X-Amz-Algorithm"},
		{"S-A4 date", 0, put("X-Amz-Date", "Fri, 24 May 2013 00:00:00 GMT"), CodeAuthorizationQueryParametersError, "ISO8601"},
		{"S-A4 date of another day", 0, put("X-Amz-Date", "20130523T235959Z"), CodeAuthorizationQueryParametersError, "Invalid credential date"},
		{"S-A4 region", 0, put("X-Amz-Credential", c.AccessKey+"/20130524/eu/s3/aws4_request"), CodeAuthorizationQueryParametersError, "Error parsing the X-Amz-Credential parameter; the region 'eu' is wrong; expecting 'us-east-1'"},
		{"S-A4 credential", 0, put("X-Amz-Credential", c.AccessKey), CodeAuthorizationQueryParametersError, "mal-formed"},
		{"S-A2 unknown key", 0, put("X-Amz-Credential", "nobody/20130524/us-east-1/s3/aws4_request"), CodeInvalidAccessKeyID, ""},
		{"S-A5 unsigned header", 0, func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/a/b") }, CodeAccessDenied, "not signed"},
		{"S-A5 unsigned payload hash", 0, func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", emptySHA256) }, CodeAccessDenied, "not signed"},
		{"S-A5 host not signed", 0, put("X-Amz-SignedHeaders", "accept"), CodeAccessDenied, "not signed"},
		{"S-A7 line break in signed headers", 0, put("X-Amz-SignedHeaders", "host;x\ny"), CodeAuthorizationQueryParametersError, "mal-formed"},
		{"S-A7 bad escape", 0, func(r *http.Request) { r.URL.RawQuery += "&a=%zz" }, CodeInvalidURI, ""},
		{"S-A6 both versions", 0, func(r *http.Request) { r.URL.RawQuery += "&Signature=a" }, CodeInvalidArgument, "Only one auth mechanism"},
		{"S-A6 also a header", 0, func(r *http.Request) { r.Header.Set("Authorization", "AWS a:b") }, CodeInvalidArgument, "Only one auth mechanism"},
		{"S-C2 other method", 0, func(r *http.Request) { r.Method = "PUT" }, CodeSignatureDoesNotMatch, ""},
		{"S-C2 HEAD", 0, func(r *http.Request) { r.Method = "HEAD" }, CodeSignatureDoesNotMatch, ""},
		{"S-C2 other key", 0, func(r *http.Request) { r.RequestURI = "/bucket/other?" + r.URL.RawQuery }, CodeSignatureDoesNotMatch, ""},
		{"S-C2 other version", 0, put("versionId", "v2"), CodeSignatureDoesNotMatch, ""},
		{"S-C2 ?acl", 0, func(r *http.Request) { r.URL.RawQuery += "&acl" }, CodeSignatureDoesNotMatch, ""},
		{"S-C2 ?uploads", 0, func(r *http.Request) { r.URL.RawQuery += "&uploads" }, CodeSignatureDoesNotMatch, ""},
		{"S-C2 override", 0, func(r *http.Request) { r.URL.RawQuery += "&response-content-type=text/html" }, CodeSignatureDoesNotMatch, ""},
		{"S-C2 other host", 0, func(r *http.Request) { r.Host = "evil.example.com" }, CodeSignatureDoesNotMatch, ""},
		{"S-C4 line break in a hoisted header", 0, func(r *http.Request) { r.URL.RawQuery += "&x-amz-meta-a=b%0d%0ac" }, CodeInvalidArgument, "line breaks"},
		{"S-B5 payload of the query", 0, put("X-Amz-Content-Sha256", streamUnsignedTrailer), CodeSignatureDoesNotMatch, ""},
	}
}

func TestPresignedAttacks(t *testing.T) {
	c := randomCredential()
	good := newRequest(t, "GET", "http://s3.example.com/bucket/key?versionId=v1", "")
	if err := PresignV4(good, c, "us-east-1", time.Hour, exampleTime); err != nil {
		t.Fatal(err)
	}
	for _, a := range presignedAttacks(c) {
		t.Run(a.name, func(t *testing.T) {
			r := sent(t, good)
			if a.change != nil {
				a.change(r)
			}
			err := verify(verifierOf(c, exampleTime.Add(a.after)), r)
			if a.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if e := wantCode(t, err, a.code); !strings.Contains(e.Message, a.text) {
				t.Fatalf("%q lacks %q", e.Message, a.text)
			}
		})
	}
}

// A presigned URL whose signer asked for a streaming body has no chain to verify it.
func TestPresignedStreamIsRefused(t *testing.T) {
	c := randomCredential()
	r := newRequest(t, "PUT", "http://s3.example.com/bucket/key?X-Amz-Content-Sha256=x", "")
	for _, kind := range []string{streamSigned, streamSignedTrailer, streamUnsignedTrailer} {
		r.URL.RawQuery = "X-Amz-Content-Sha256=" + kind
		// The payload is that of the query, so the signature is made by hand.
		presignAs(t, r, c, kind)
		wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeInvalidRequest)
	}
	r.URL.RawQuery = "X-Amz-Content-Sha256=" + hexSHA256("x")
	presignAs(t, r, c, hexSHA256("x"))
	r.Body, r.ContentLength = http.NoBody, 0
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeXAmzContentSHA256Mismatch)
}

func presignAs(t *testing.T, r *http.Request, c Credential, payload string) {
	t.Helper()
	r.URL.RawQuery += "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + c.AccessKey +
		"%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host"
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := (&message{r: r, query: q, signed: []string{"host"}, payload: payload}).sign(c, "us-east-1", "20130524T000000Z")
	if err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery += "&X-Amz-Signature=" + seed.signature
}

func TestV2Attacks(t *testing.T) {
	c := randomCredential()
	for _, a := range []struct {
		name, query string
		code, text  string
	}{
		{"S-C1 no expiry", "AWSAccessKeyId=a&Signature=b", CodeAccessDenied, "requires the Signature, Expires and AWSAccessKeyId"},
		{"S-C1 no key", "Expires=9&Signature=b", CodeAccessDenied, "requires the Signature"},
		{"S-C1 no signature", "Expires=9&AWSAccessKeyId=b", CodeAccessDenied, "requires the Signature"},
		{"S-C1 expiry text", "AWSAccessKeyId=a&Signature=b&Expires=soon", CodeAccessDenied, "Invalid date"},
		{"S-C1 expiry negative", "AWSAccessKeyId=a&Signature=b&Expires=-1", CodeAccessDenied, "Invalid date"},
		{"S-C1 expiry 2^63", "AWSAccessKeyId=a&Signature=b&Expires=9223372036854775808", CodeAccessDenied, "Invalid date"},
		{"S-C1 expired", "AWSAccessKeyId=a&Signature=b&Expires=1", CodeAccessDenied, "Request has expired"},
		{"S-A8 expiry twice", "AWSAccessKeyId=a&Signature=b&Expires=1369353600&Expires=1", CodeInvalidArgument, "given once"},
		{"S-A2 unknown key", "AWSAccessKeyId=a&Signature=b&Expires=1369353600", CodeInvalidAccessKeyID, ""},
		{"S-A1 wrong signature", "AWSAccessKeyId=" + c.AccessKey + "&Signature=b&Expires=1369353600", CodeSignatureDoesNotMatch, ""},
		{"S-A7 ambiguous sub-resource", "AWSAccessKeyId=" + c.AccessKey + "&Signature=b&Expires=1369353600&partNumber=1%26uploadId%3Dx", CodeInvalidArgument, "ambiguous"},
		{"S-A7 line break in type", "AWSAccessKeyId=" + c.AccessKey + "&Signature=b&Expires=1369353600&content-type=a%0ab", CodeInvalidArgument, ""},
	} {
		t.Run(a.name, func(t *testing.T) {
			r := received(t, "GET /bucket/key?"+a.query+" HTTP/1.1\r\nHost: s3.example.com\r\n\r\n")
			if e := wantCode(t, verify(verifierOf(c, exampleTime), r), a.code); !strings.Contains(e.Message, a.text) {
				t.Fatalf("%q lacks %q", e.Message, a.text)
			}
			v := verifierOf(c, exampleTime)
			v.AllowV2 = false
			e := wantCode(t, verify(v, r), CodeInvalidRequest)
			if e.Message != "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256." {
				t.Fatal(e)
			}
		})
	}
}

// Version 2 joins decoded values with &, so one value must not read as two.
func TestV2ValuesAreNotAmbiguous(t *testing.T) {
	c := randomCredential()
	r := newRequest(t, "PUT", "http://s3.example.com/bucket/key?partNumber=1&uploadId=x", "")
	if err := PresignV2(r, c, "", exampleTime); err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "partNumber=1&uploadId=x", "partNumber=1%26uploadId%3Dx", 1)
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeInvalidArgument)
	r = newRequest(t, "GET", "http://s3.example.com/bucket/key?response-content-disposition=attachment%3B%20filename%3D%22a%26b.txt%22", "")
	if err := PresignV2(r, c, "", exampleTime); err != nil {
		t.Fatal(err)
	}
	if err := verify(verifierOf(c, exampleTime), sent(t, r)); err != nil {
		t.Fatal(err)
	}
}
