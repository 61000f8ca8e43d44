package checksum

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"

	"ironman/wal/event"
)

func b64(a event.ChecksumAlgorithm, body string) string {
	return base64.StdEncoding.EncodeToString(direct(a, []byte(body)))
}

const expectedBody, otherBody = "hello", "world"

type expectation struct {
	name    string
	headers []string
	trailer string
	sent    []string // in the trailer
	code    string
	text    string
}

func expectations() []expectation {
	const body, other = expectedBody, otherBody
	sum := md5.Sum([]byte(body))
	good := base64.StdEncoding.EncodeToString(sum[:])
	return []expectation{
		{name: "nothing"},
		{name: "MD5", headers: []string{"Content-MD5", good}},
		{"S-B3 MD5 of others", []string{"Content-MD5", "EtWtthXtCk3RxUiXKw+ydw=="}, "", nil, CodeBadDigest, "The Content-MD5 you specified did not match what we received."},
		{"S-B3 MD5 no base64", []string{"Content-MD5", "AWS HAHAHA"}, "", nil, CodeInvalidDigest, "The Content-MD5 you specified was invalid."},
		{"S-B3 MD5 short", []string{"Content-MD5", "YWJyYWNhZGFicmE="}, "", nil, CodeInvalidDigest, ""},
		{"S-B3 MD5 empty", []string{"Content-MD5", ""}, "", nil, CodeInvalidDigest, ""},
		{"S-B3 MD5 hexadecimal", []string{"Content-MD5", hex.EncodeToString(sum[:])}, "", nil, CodeInvalidDigest, ""},
		{"S-B3 MD5 loose bits", []string{"Content-MD5", strings.Replace(good, "g==", "h==", 1)}, "", nil, CodeInvalidDigest, ""},
		{"S-B3 MD5 twice", []string{"Content-MD5", good, "Content-MD5", good}, "", nil, CodeInvalidDigest, ""},
		{name: "crc32", headers: []string{"x-amz-checksum-crc32", b64(crc32, body)}},
		{name: "crc32, and the SDK says so", headers: []string{"x-amz-checksum-crc32", b64(crc32, body), "x-amz-sdk-checksum-algorithm", "crc32"}},
		{name: "not a value", headers: []string{"x-amz-checksum-mode", "ENABLED", "x-amz-checksum-algorithm", "SHA1", "x-amz-checksum-type", "x"}},
		{"S-B9 crc32 of others", []string{"x-amz-checksum-crc32", b64(crc32, other)}, "", nil, CodeBadDigest, "The CRC32 you specified did not match the calculated checksum."},
		{"S-B9 crc64nvme of others", []string{"x-amz-checksum-crc64nvme", b64(crc64nvme, other)}, "", nil, CodeBadDigest, "The CRC64NVME you specified did not match"},
		{"S-B9 malformed", []string{"x-amz-checksum-crc32", "AAAAAAA="}, "", nil, CodeBadDigest, "Value for x-amz-checksum-crc32 header is invalid."},
		{"S-B9 empty", []string{"x-amz-checksum-sha256", ""}, "", nil, CodeBadDigest, "Value for x-amz-checksum-sha256 header is invalid."},
		{"S-B9 two", []string{"x-amz-checksum-crc32", b64(crc32, body), "x-amz-checksum-sha1", b64(sha1, body)}, "", nil, CodeInvalidRequest, "Expecting a single x-amz-checksum- header"},
		{"S-B9 two, one malformed", []string{"x-amz-checksum-crc32", "x", "x-amz-checksum-sha1", b64(sha1, body)}, "", nil, CodeInvalidRequest, "Expecting a single x-amz-checksum- header"},
		{"S-B9 twice", []string{"x-amz-checksum-crc32", b64(crc32, body), "x-amz-checksum-crc32", b64(crc32, body)}, "", nil, CodeInvalidRequest, "Expecting a single"},
		{"S-B9 header and trailer", []string{"x-amz-checksum-crc32", b64(crc32, body)}, "x-amz-checksum-crc32", []string{b64(crc32, body)}, CodeInvalidRequest, "Expecting a single"},
		{"S-B9 unknown algorithm", []string{"x-amz-checksum-sha512", "x"}, "", nil, CodeInvalidRequest, "The algorithm type you specified in x-amz-checksum- header is invalid."},
		{"S-B9 the SDK says another", []string{"x-amz-checksum-crc32", b64(crc32, body), "x-amz-sdk-checksum-algorithm", "SHA1"}, "", nil, CodeInvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid."},
		{"S-B9 only the SDK says", []string{"x-amz-sdk-checksum-algorithm", "SHA1"}, "", nil, CodeInvalidRequest, "but no corresponding x-amz-checksum-*"},
		{"S-B9 the SDK says nonsense", []string{"x-amz-sdk-checksum-algorithm", "MD4"}, "", nil, CodeInvalidRequest, "Checksum algorithm provided is unsupported"},
		{name: "trailer", trailer: "x-amz-checksum-sha256", sent: []string{b64(sha256, body)}},
		{name: "trailer, and the SDK says so", headers: []string{"x-amz-sdk-checksum-algorithm", "SHA256"}, trailer: "X-Amz-Checksum-SHA256", sent: []string{b64(sha256, body)}},
		{"S-B6 trailer of others", nil, "x-amz-checksum-crc32c", []string{b64(crc32c, other)}, CodeBadDigest, "The CRC32C you specified"},
		{"S-B6 trailer malformed", nil, "x-amz-checksum-crc32c", []string{"x"}, CodeInvalidRequest, "Value for x-amz-checksum-crc32c trailing header is invalid."},
		{"S-B6 trailer missing", nil, "x-amz-checksum-crc32c", nil, CodeMalformedTrailer, ""},
		{"S-B6 trailer twice", nil, "x-amz-checksum-crc32c", []string{b64(crc32c, body), b64(crc32c, body)}, CodeMalformedTrailer, ""},
		{"S-B6 trailer unknown", nil, "x-amz-checksum-md5", nil, CodeInvalidRequest, "x-amz-trailer header is not supported"},
		{"S-B6 trailer without prefix", nil, "crc32", nil, CodeInvalidRequest, "x-amz-trailer header is not supported"},
		{"S-B6 the SDK says another", []string{"x-amz-sdk-checksum-algorithm", "SHA1"}, "x-amz-checksum-crc32", nil, CodeInvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid."},
	}
}

func TestExpect(t *testing.T) {
	for _, c := range expectations() {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			for i := 0; i < len(c.headers); i += 2 {
				h.Add(c.headers[i], c.headers[i+1])
			}
			err := func() error {
				e, err := Expect(h, c.trailer)
				if err != nil {
					return err
				}
				if e.Required() != (len(c.headers) > 0 && c.name != "not a value" || c.trailer != "") {
					t.Fatal("Required")
				}
				d := New(Want{Algorithm: e.Algorithm})
				d.Write([]byte(expectedBody))
				trailer := http.Header{}
				for _, v := range c.sent {
					trailer.Add(c.trailer, v)
				}
				return e.Check(d.Sums(), trailer)
			}()
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantCode(t, err, c.code, c.text)
		})
	}
}

// A checksum that was declared is never skipped because nobody computed it.
func TestCheckNeedsTheChecksum(t *testing.T) {
	e, err := Expect(http.Header{"X-Amz-Checksum-Crc32": {b64(crc32, "")}}, "")
	if err != nil {
		t.Fatal(err)
	}
	var refusal *Error
	if err := e.Check(New(Want{}).Sums(), nil); err == nil || errors.As(err, &refusal) {
		t.Fatal(err)
	}
	if err := e.Check(New(Want{Algorithm: crc32c}).Sums(), nil); err == nil || errors.As(err, &refusal) {
		t.Fatal(err)
	}
}

func TestExpectUpload(t *testing.T) {
	for _, c := range []struct {
		algorithm, kind string
		a               event.ChecksumAlgorithm
		composite       bool
		text            string
	}{
		{"", "", none, false, ""},
		{"CRC32", "", crc32, true, ""},
		{"crc32c", "composite", crc32c, true, ""},
		{"CRC32C", "FULL_OBJECT", crc32c, false, ""},
		{"CRC64NVME", "", crc64nvme, false, ""},
		{"CRC64NVME", "FULL_OBJECT", crc64nvme, false, ""},
		{"SHA1", "", sha1, true, ""},
		{"SHA256", "COMPOSITE", sha256, true, ""},
		{"SHA256", "FULL_OBJECT", none, false, "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm."},
		{"CRC64NVME", "COMPOSITE", none, false, "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."},
		{"MD4", "", none, false, "Checksum algorithm provided is unsupported"},
		{"CRC32", "HALF", none, false, "Value for x-amz-checksum-type header is invalid."},
		{"", "COMPOSITE", none, false, "can only be used with the x-amz-checksum-algorithm header"},
	} {
		h := http.Header{}
		if c.algorithm != "" {
			h.Set("x-amz-checksum-algorithm", c.algorithm)
		}
		if c.kind != "" {
			h.Set("x-amz-checksum-type", c.kind)
		}
		a, composite, err := ExpectUpload(h)
		if c.text != "" {
			wantCode(t, err, CodeInvalidRequest, c.text)
			continue
		}
		if err != nil || a != c.a || composite != c.composite {
			t.Errorf("%+v: %v %v %v", c, a, composite, err)
		}
	}
}

func FuzzExpect(f *testing.F) {
	f.Add("XUFAKrxLKna5cZ2REBfFkg==", "NhCmhg==", "CRC32", "x-amz-checksum-crc32", "NhCmhg==")
	f.Fuzz(func(t *testing.T, md5, value, sdk, trailer, sent string) {
		h := http.Header{"Content-Md5": {md5}, "X-Amz-Sdk-Checksum-Algorithm": {sdk}}
		if trailer == "" {
			h.Set("X-Amz-Checksum-Crc32", value)
		}
		e, err := Expect(h, trailer)
		if err != nil {
			return
		}
		d := New(Want{Algorithm: e.Algorithm})
		d.Write([]byte("hello"))
		err = e.Check(d.Sums(), http.Header{http.CanonicalHeaderKey(trailer): {sent}})
		if _, ok := err.(*Error); err != nil && !ok {
			t.Fatal(err)
		}
		if err == nil && md5 != "XUFAKrxLKna5cZ2REBfFkg==" {
			t.Fatalf("%q was accepted", md5)
		}
	})
}

// What a completion says of the object is compared, whichever way it is said.
func TestExpectObject(t *testing.T) {
	full := &event.Checksum{Algorithm: crc32, Value: []byte{1, 2, 3, 4}}
	composite := &event.Checksum{Algorithm: sha256, Value: make([]byte, 32), Composite: true}
	zeros := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, c := range []struct {
		name    string
		headers []string
		sum     *event.Checksum
		code    string
	}{
		{"nothing", nil, full, ""},
		{"right", []string{"x-amz-checksum-crc32", "AQIDBA=="}, full, ""},
		{"right, with its type", []string{"x-amz-checksum-crc32", "AQIDBA==", "x-amz-checksum-type", "full_object"}, full, ""},
		{"right, composite", []string{"x-amz-checksum-sha256", zeros + "-3"}, composite, ""},
		{"right, composite, without the number", []string{"x-amz-checksum-sha256", zeros}, composite, ""},
		{"wrong", []string{"x-amz-checksum-crc32", "AQIDBQ=="}, full, CodeBadDigest},
		{"wrong number of parts", []string{"x-amz-checksum-sha256", zeros + "-2"}, composite, CodeBadDigest},
		{"a number of parts of a full object", []string{"x-amz-checksum-crc32", "AQIDBA==-3"}, full, CodeBadDigest},
		{"another algorithm", []string{"x-amz-checksum-crc32c", "AQIDBA=="}, full, CodeBadDigest},
		{"no checksum", []string{"x-amz-checksum-crc32", "AQIDBA=="}, nil, CodeBadDigest},
		{"malformed", []string{"x-amz-checksum-crc32", "bad"}, full, CodeBadDigest},
		{"malformed number", []string{"x-amz-checksum-sha256", zeros + "-x"}, composite, CodeBadDigest},
		{"number twice", []string{"x-amz-checksum-sha256", zeros + "-3-3"}, composite, CodeBadDigest},
		{"two", []string{"x-amz-checksum-crc32", "AQIDBA==", "x-amz-checksum-sha256", zeros}, full, CodeInvalidRequest},
		{"the same twice", []string{"x-amz-checksum-crc32", "AQIDBA==", "x-amz-checksum-crc32", "AQIDBA=="}, full, CodeInvalidRequest},
		{"unknown", []string{"x-amz-checksum-rot13", "x"}, full, CodeInvalidRequest},
		{"unknown type", []string{"x-amz-checksum-type", "half"}, full, CodeInvalidRequest},
		{"another type", []string{"x-amz-checksum-type", "COMPOSITE"}, full, CodeInvalidRequest},
		{"another type, composite", []string{"x-amz-checksum-type", "FULL_OBJECT"}, composite, CodeInvalidRequest},
	} {
		h := http.Header{}
		for i := 0; i < len(c.headers); i += 2 {
			h.Add(c.headers[i], c.headers[i+1])
		}
		claim, err := ExpectObject(h)
		if err == nil {
			err = claim.CheckType(c.sum.GetComposite())
		}
		if err == nil {
			err = claim.Check(c.sum, 3)
		}
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Code != c.code {
			t.Errorf("%s: want %s, got %v", c.name, c.code, err)
		}
	}
}
