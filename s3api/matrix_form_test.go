package s3api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"ironman/s3api/sig"
	"ironman/wal/digest"
)

// authForm is a way to say who asks.
type authForm struct {
	name string
	body bool // only where there is a body
	make func(w *world, q *question, c sig.Credential) *http.Request
}

// question is what is asked for, whoever asks.
type question struct {
	method, target, body string
	headers              []string
}

func (w *world) ask(q *question) *http.Request {
	h := q.headers
	if q.body != "" { // some operations want a digest of their document, which not every form has
		h = append(slices.Clone(h), "Content-Md5", contentMD5(q.body))
	}
	return w.request(q.method, q.target, q.body, h...)
}

func contentMD5(body string) string {
	d := digest.NewMD5()
	d.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(d.Sum(nil))
}

// signedForms are the ways to sign a request to S3. A form's fields are signed otherwise:
// postForms.
func signedForms() []authForm {
	return []authForm{
		{"header v4", false, func(w *world, q *question, c sig.Credential) *http.Request {
			r := w.ask(q)
			return w.signed(r, sig.SignV4(r, c, matrixRegion, hexSum(q.body), w.now))
		}},
		{"presigned v4", false, func(w *world, q *question, c sig.Credential) *http.Request {
			r := w.ask(q)
			return w.signed(r, sig.PresignV4(r, c, matrixRegion, time.Minute, w.now))
		}},
		{"header v2", false, func(w *world, q *question, c sig.Credential) *http.Request {
			r := w.ask(q)
			return w.signed(r, sig.SignV2(r, c, "", w.now))
		}},
		{"presigned v2", false, func(w *world, q *question, c sig.Credential) *http.Request {
			r := w.ask(q)
			return w.signed(r, sig.PresignV2(r, c, "", w.now.Add(time.Minute)))
		}},
		{"signed chunks", true, stream(sig.PayloadStreamSigned)},
		{"signed chunks and trailer", true, stream(sig.PayloadStreamSignedTrailer)},
		{"unsigned trailer", true, stream(sig.PayloadStreamUnsignedTrailer)},
	}
}

// anonymousForms are the ways to ask without saying who. The chunks without a signature
// are those of an attack on others (S-B5).
func anonymousForms() []authForm {
	return []authForm{
		{"anonymous", false, func(w *world, q *question, _ sig.Credential) *http.Request { return w.ask(q) }},
		{"anonymous chunks", true, func(w *world, q *question, _ sig.Credential) *http.Request {
			r := stream(sig.PayloadStreamUnsignedTrailer)(w, q, sig.Credential{AccessKey: "x", Secret: sig.NewSecret("y")})
			r.Header.Del("Authorization")
			return r
		}},
	}
}

func (w *world) signed(r *http.Request, err error) *http.Request {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func stream(kind sig.PayloadKind) func(*world, *question, sig.Credential) *http.Request {
	return func(w *world, q *question, c sig.Credential) *http.Request {
		r := w.ask(q)
		s := sig.Stream{Kind: kind, Length: int64(len(q.body)), ChunkSize: 8 << 10}
		if kind != sig.PayloadStreamSigned {
			s.Trailer = "x-amz-checksum-crc32c"
			s.Checksum = func() string {
				return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, digest.CRC32C([]byte(q.body))))
			}
		}
		return w.signed(r, sig.SignV4Stream(r, c, matrixRegion, s, w.now))
	}
}

const formBoundary = "----matrix"

// postForms are the ways to sign a browser's form; its target and fields are those of the
// question.
func postForms() []authForm {
	return []authForm{
		{"form v4", false, func(w *world, q *question, c sig.Credential) *http.Request {
			fields, policy := postFields(q, c)
			credential, date := sig.PostScopeV4(c, matrixRegion, w.now)
			document := fmt.Sprintf(policy, fmt.Sprintf(`, {"x-amz-credential": %q}, {"x-amz-date": %q}, {"x-amz-algorithm": "AWS4-HMAC-SHA256"}`, credential, date))
			sig.SignPostV4(fields, c, matrixRegion, []byte(document), w.now)
			return w.post(q, fields)
		}},
		{"form v2", false, func(w *world, q *question, c sig.Credential) *http.Request {
			fields, policy := postFields(q, c)
			sig.SignPostV2(fields, c, fmt.Appendf(nil, policy, ""))
			return w.post(q, fields)
		}},
	}
}

// anonymousPost is a form that nobody signed.
func anonymousPost() []authForm {
	return []authForm{{"anonymous form", false, func(w *world, q *question, _ sig.Credential) *http.Request {
		fields, _ := postFields(q, sig.Credential{})
		return w.post(q, fields)
	}}}
}

// postFields are the fields of a form, and a policy that lets them, in which more
// conditions have a place.
func postFields(q *question, c sig.Credential) (fields sig.Fields, policy string) {
	fields = sig.Fields{}
	conditions := fmt.Sprintf(`{"bucket": %q}`, strings.Trim(q.target, "/"))
	for i := 0; i < len(q.headers); i += 2 {
		fields[q.headers[i]] = q.headers[i+1]
		conditions += fmt.Sprintf(`, {%q: %q}`, q.headers[i], q.headers[i+1])
	}
	if token := c.Session.Reveal(); len(token) > 0 {
		fields["x-amz-security-token"] = string(token)
		conditions += fmt.Sprintf(`, {"x-amz-security-token": %q}`, token)
	}
	return fields, `{"expiration": "2099-01-01T00:00:00.000Z", "conditions": [` + conditions + `%s]}`
}

// post is a form on its way.
func (w *world) post(q *question, fields sig.Fields) *http.Request {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", formBoundary, name, fields[name])
	}
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n%s\r\n--%s--\r\n", formBoundary, q.body, formBoundary)
	return w.request("POST", q.target, b.String(), "Content-Type", "multipart/form-data; boundary="+formBoundary)
}
