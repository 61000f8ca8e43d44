package sig

import (
	"context"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"
	"pgregory.net/rapid"

	"ironman/wal/digest"
)

// drawn is a random request: bytes as they are, before any encoding.
type drawn struct {
	method, key, body string
	query             url.Values
	header            http.Header
}

func drawRequest(t *rapid.T) drawn {
	d := drawn{
		method: rapid.SampledFrom([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}).Draw(t, "method"),
		key: rapid.OneOf(
			rapid.StringOfN(rapid.Rune(), 0, 40, -1),
			rapid.SampledFrom([]string{"a//b", "../..", "./a/.", "a%2Fb", "a+b c", "%", "%zz", "~-_.", "é\u0000\x7f", "!*'()", "a?b#c", "/"}),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) }),
		).Draw(t, "key"),
		query:  url.Values{},
		header: http.Header{},
	}
	if d.method == "PUT" || d.method == "POST" {
		d.body = rapid.StringN(0, 200, -1).Draw(t, "body")
	}
	text := rapid.StringN(0, 20, -1)
	for range rapid.IntRange(0, 4).Draw(t, "parameters") {
		name := rapid.SampledFrom([]string{"acl", "uploads", "prefix", "versionId", "partNumber", "max-keys", "X-Odd~Name", "delimiter", "a b"}).Draw(t, "parameter")
		d.query.Set(name, text.Draw(t, "value"))
	}
	value := rapid.StringMatching(`[ -~]{0,20}( {1,3}[!-~]{1,8}){0,2}`)
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		name := rapid.SampledFrom([]string{"x-amz-meta-a", "x-amz-meta-b-c", "X-Amz-Acl", "Content-Type", "Range", "x-amz-tagging", "If-Match", "Content-Md5"}).Draw(t, "header")
		d.header.Set(name, value.Draw(t, "content"))
	}
	return d
}

// request builds the client's request, path-style, encoded as minio-go does.
func (d drawn) request(t testing.TB) *http.Request {
	u := "http://s3.example.com:9000/bucket/" + s3utils.EncodePath(d.key)
	r := newRequest(t, d.method, u, d.body)
	r.URL.RawQuery = strings.ReplaceAll(d.query.Encode(), "+", "%20")
	r.Header = d.header.Clone()
	return r
}

// check verifies what the server reads off the wire.
func (d drawn) check(t *rapid.T, tb testing.TB, v *Verifier, r *http.Request, form Form) *Identity {
	s := sent(tb, r)
	id, body, _, err := readAll(v, s)
	if err != nil {
		t.Fatalf("%v\n%s %s %v", err, s.Method, s.RequestURI, s.Header)
	}
	if id.Form != form || string(body) != d.body {
		t.Fatalf("%v %q", id.Form, body)
	}
	if want := "/bucket/" + d.key; s.URL.Path != want && utf8Valid(d.key) {
		t.Fatalf("path %q, want %q", s.URL.Path, want)
	}
	if p, err := decodedPath(s); err != nil || p != s.URL.Path {
		t.Fatalf("the signature is over %q, the router sees %q", p, s.URL.Path)
	}
	return id
}

// utf8Valid is false where minio-go's encoding would not keep the key's bytes.
func utf8Valid(s string) bool { return strings.ToValidUTF8(s, "") == s }

func TestAWSSDKHeaderV4(t *testing.T) {
	s := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	rapid.Check(t, func(rt *rapid.T) {
		d, c := drawRequest(rt), randomCredential()
		if rapid.Bool().Draw(rt, "session") {
			c.Session = NewSecret("token/+=")
		}
		r := d.request(t)
		payload := rapid.SampledFrom([]string{unsignedPayload, hexSHA256(d.body)}).Draw(rt, "payload")
		r.Header.Set("X-Amz-Content-Sha256", payload)
		if err := s.SignHTTP(context.Background(), awsCredential(c), r, payload, "s3", "us-east-1", exampleTime); err != nil {
			rt.Fatal(err)
		}
		d.check(rt, t, verifierOf(c, exampleTime), r, FormV4Header)
	})
}

func TestAWSSDKPresignV4(t *testing.T) {
	s := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	rapid.Check(t, func(rt *rapid.T) {
		d, c := drawRequest(rt), randomCredential()
		r := d.request(t)
		q := r.URL.Query()
		q.Set("X-Amz-Expires", "600")
		r.URL.RawQuery = q.Encode()
		r.Header.Set("X-Amz-Expected-Bucket-Owner", "111122223333") // the SDK moves it into the query
		signed, header, err := s.PresignHTTP(context.Background(), awsCredential(c), r, unsignedPayload, "s3", "us-east-1", exampleTime)
		if err != nil {
			rt.Fatal(err)
		}
		p := newRequest(t, d.method, signed, d.body)
		for name, values := range header {
			if name != "Host" && name != "Content-Length" {
				p.Header[name] = values
			}
		}
		v := verifierOf(c, exampleTime.Add(5*time.Minute))
		if id := d.check(rt, t, v, p, FormV4Query); id.Hoisted.Get("x-amz-expected-bucket-owner") != "111122223333" {
			rt.Fatalf("%v", id)
		}
	})
}

func awsCredential(c Credential) aws.Credentials {
	return aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: string(c.Secret.Reveal()), SessionToken: string(c.Session.Reveal())}
}

func TestMinioHeaderV4(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, c := drawRequest(rt), randomCredential()
		r := d.request(t)
		r.Header.Set("X-Amz-Content-Sha256", hexSHA256(d.body))
		r = signer.SignV4(*r, c.AccessKey, string(c.Secret.Reveal()), "", "us-east-1")
		d.check(rt, t, verifierOf(c, time.Now()), r, FormV4Header)
	})
}

func TestMinioPresignV4(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, c := drawRequest(rt), randomCredential()
		r := signer.PreSignV4(*d.request(t), c.AccessKey, string(c.Secret.Reveal()), "", "us-east-1", 600)
		d.check(rt, t, verifierOf(c, time.Now()), r, FormV4Query)
	})
}

func TestMinioV2(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, c := drawRequest(rt), randomCredential()
		for name, values := range d.header { // minio-go signs the spaces that the wire drops
			d.header.Set(name, strings.TrimSpace(values[0]))
		}
		if strings.ContainsAny(d.query.Get("versionId")+d.query.Get("partNumber"), "&") {
			rt.Skip("ambiguous in version 2")
		}
		r := d.request(t)
		form := FormV2Header
		if rapid.Bool().Draw(rt, "presigned") {
			form = FormV2Query
			r = signer.PreSignV2(*r, c.AccessKey, string(c.Secret.Reveal()), 600, false)
			r.Header.Del("Expires")
		} else {
			r = signer.SignV2(*r, c.AccessKey, string(c.Secret.Reveal()), false)
		}
		d.check(rt, t, verifierOf(c, time.Now()), r, form)
	})
}

// sha256Hasher is what minio-go's streaming signer wants.
type sha256Hasher struct{ hash.Hash }

func (sha256Hasher) Close() {}

func TestMinioStreams(t *testing.T) {
	for _, size := range []int{1, 100, 8192, 64 << 10, 64<<10 + 1, 300_000} {
		for _, kind := range []PayloadKind{PayloadStreamSigned, PayloadStreamSignedTrailer, PayloadStreamUnsignedTrailer} {
			t.Run(kind.String()+"/"+strconv.Itoa(size), func(t *testing.T) {
				c, now := randomCredential(), time.Now()
				body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
				r := newRequest(t, "PUT", "http://s3.example.com/bucket/key", body)
				if kind != PayloadStreamSigned {
					r.Trailer = http.Header{"x-amz-checksum-crc32": {"AAAAAA=="}}
				}
				secret := string(c.Secret.Reveal())
				if kind == PayloadStreamUnsignedTrailer {
					r.Header.Set("X-Amz-Content-Sha256", streamUnsignedTrailer)
					trailer := r.Trailer
					r.Trailer = nil
					r = signer.SignV4Trailer(*r, c.AccessKey, secret, "", "us-east-1", trailer)
				} else {
					r = signer.StreamingSignV4(r, c.AccessKey, secret, "", "us-east-1", int64(size), now, sha256Hasher{digest.NewSHA256()})
				}
				r.Trailer, r.ContentLength = nil, -1
				id, got, trailer, err := readAll(verifierOf(c, now), sent(t, r))
				if err != nil || string(got) != body || id.Payload != kind || id.DecodedLength != int64(size) {
					t.Fatalf("%+v, %d bytes, %v", id, len(got), err)
				}
				if kind != PayloadStreamSigned && trailer.Get("x-amz-checksum-crc32") != "AAAAAA==" {
					t.Fatal(trailer)
				}
			})
		}
	}
}

// What our signers sign, our verifier accepts, and hands out the same body.
func TestOwnSignersRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, c := drawRequest(rt), randomCredential()
		if rapid.Bool().Draw(rt, "session") {
			c.Session = NewSecret("token/+=")
		}
		r := d.request(t)
		v := verifierOf(c, exampleTime)
		var err error
		form := rapid.SampledFrom([]Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}).Draw(rt, "form")
		switch form {
		case FormV4Header:
			err = SignV4(r, c, "us-east-1", rapid.SampledFrom([]string{unsignedPayload, hexSHA256(d.body)}).Draw(rt, "payload"), exampleTime)
		case FormV4Query:
			err = PresignV4(r, c, "us-east-1", time.Minute, exampleTime)
		case FormV2Header, FormV2Query:
			if checkSubResources(mustParse(rt, r.URL.RawQuery)) != nil {
				rt.Skip("ambiguous in version 2")
			}
			if form == FormV2Header {
				err = SignV2(r, c, "", exampleTime)
			} else {
				err = PresignV2(r, c, "", exampleTime)
			}
		}
		if err != nil {
			rt.Fatal(err)
		}
		d.check(rt, t, v, r, form)
	})
}

func mustParse(t *rapid.T, raw string) query {
	q, err := parseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestOwnStreamsRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 200_000)).Draw(rt, "size")
		s := Stream{
			Kind:      rapid.SampledFrom([]PayloadKind{PayloadStreamSigned, PayloadStreamSignedTrailer, PayloadStreamUnsignedTrailer}).Draw(rt, "kind"),
			Length:    int64(size),
			ChunkSize: rapid.IntRange(minChunk, 70_000).Draw(rt, "chunk"),
		}
		if s.Kind == PayloadStreamSignedTrailer || s.Kind == PayloadStreamUnsignedTrailer && rapid.Bool().Draw(rt, "trailer") {
			s.Trailer, s.Checksum = "x-amz-checksum-crc32c", func() string { return "sOO8/Q==" }
		}
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		c := randomCredential()
		r := newRequest(t, "PUT", "http://s3.example.com/bucket/key", body)
		if err := SignV4Stream(r, c, "us-east-1", s, exampleTime); err != nil {
			rt.Fatal(err)
		}
		got := sent(t, r)
		id, err := verifierOf(c, exampleTime).Verify(context.Background(), got)
		if err != nil {
			rt.Fatal(err)
		}
		if got.ContentLength < 0 {
			rt.Fatal("the length was not known")
		}
		b, err := id.Body(got)
		if err != nil {
			rt.Fatal(err)
		}
		read, err := readPieces(b, rapid.IntRange(1, 100_000).Draw(rt, "piece"))
		if err != nil || string(read) != body {
			rt.Fatalf("%d bytes, %v", len(read), err)
		}
		if b.Trailer().Get(s.Trailer) == "" && s.Trailer != "" {
			rt.Fatal("no trailer")
		}
	})
}

// readPieces reads with a buffer of one size.
func readPieces(r io.Reader, size int) (all []byte, err error) {
	p := make([]byte, size)
	for {
		n, err := r.Read(p)
		all = append(all, p[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}
