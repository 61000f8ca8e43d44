package crash

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ironman/s3api/sig"
)

const (
	rootKey    = "simulated-root"
	rootSecret = "a-secret-of-the-simulated-root"
	bucket     = "crash"
	metaHeader = "X-Amz-Meta-Value"
)

// body is what a value stands for: its name ends in its length.
func body(value string) []byte {
	n, err := strconv.Atoi(value[strings.LastIndexByte(value, '.')+1:])
	if err != nil {
		panic(err)
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(value))).Read(b)
	return b
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes one signed request. It goes through the whole of the front, but not
// through a socket.
func (p *process) send(method, target string, body []byte, header ...string) *answer {
	u, err := url.Parse("http://node" + target)
	if err != nil {
		panic(err)
	}
	r := (&http.Request{
		Method: method, URL: u, Host: u.Host, Header: make(http.Header), RequestURI: target,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "192.0.2.1:1000",
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}).WithContext(context.Background())
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	sum := sha256.Sum256(body)
	cred := sig.Credential{AccessKey: rootKey, Secret: sig.NewSecret(rootSecret)}
	if err := sig.SignV4(r, cred, "us-east-1", hex.EncodeToString(sum[:]), p.clock.now()); err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	p.node.Handler().ServeHTTP(w, r)
	return &answer{w.Code, w.Result().Header, w.Body.Bytes()}
}

// ask sends a request that changes something, and notes when it was sent and answered.
// It must be answered with status, else the run is not worth going on with.
func (p *process) ask(status int, changes map[string]string, method, target string, body []byte, header ...string) *answer {
	q := &request{what: method + " " + target, changes: changes}
	p.history.add(fact{asked: q})
	a := p.send(method, target, body, header...)
	if a.status != status {
		p.fail(fmt.Errorf("I12: %s: want %d, got %d %.300s", q.what, status, a.status, a.body))
		return a
	}
	p.history.add(fact{answered: q, done: status < 300})
	return a
}

func object(key string) string { return "/" + bucket + "/" + key }

func set(namesAndStates ...string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(namesAndStates); i += 2 {
		m[namesAndStates[i]] = namesAndStates[i+1]
	}
	return m
}

func (p *process) put(key, value string, header ...string) *answer {
	return p.ask(200, set(object(key), value), "PUT", object(key), body(value), append(header, metaHeader, value)...)
}

func (p *process) remove(key string) {
	p.ask(204, set(object(key), ""), "DELETE", object(key), nil)
}

func (p *process) copy(from, to, value string) {
	p.ask(200, set(object(to), value), "PUT", object(to), nil, "X-Amz-Copy-Source", object(from))
}

// beginUpload begins an upload of what will be value.
func (p *process) beginUpload(key, value string) (id string) {
	a := p.ask(200, set("upload "+key, "open"), "POST", object(key)+"?uploads=", nil, metaHeader, value)
	var r struct{ UploadId string }
	if err := xml.Unmarshal(a.body, &r); err != nil || r.UploadId == "" {
		p.fail(fmt.Errorf("CreateMultipartUpload: %v %.300s", err, a.body))
	}
	return r.UploadId
}

func (p *process) putPart(key, id, value string) (tag string) {
	a := p.ask(200, set("part "+key, entityTag(value)), "PUT", object(key)+"?partNumber=1&uploadId="+id, body(value))
	return a.header.Get("Etag")
}

func (p *process) complete(key, id, tag, value string) {
	doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + tag + "</ETag></Part></CompleteMultipartUpload>"
	p.ask(200, set(object(key), value, "upload "+key, "", "part "+key, ""), "POST", object(key)+"?uploadId="+id, []byte(doc))
}

func (p *process) abort(key, id string) {
	p.ask(204, set("upload "+key, "", "part "+key, ""), "DELETE", object(key)+"?uploadId="+id, nil)
}

// removeSeveral deletes some objects by one event.
func (p *process) removeSeveral(keys ...string) {
	var b strings.Builder
	changes := make(map[string]string)
	b.WriteString("<Delete><Quiet>true</Quiet>")
	for _, k := range keys {
		fmt.Fprintf(&b, "<Object><Key>%s</Key></Object>", k)
		changes[object(k)] = ""
	}
	b.WriteString("</Delete>")
	sum := md5.Sum([]byte(b.String()))
	p.ask(200, changes, "POST", "/"+bucket+"?delete=", []byte(b.String()), "Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
}

func entityTag(value string) string { return fmt.Sprintf("%x", md5.Sum(body(value))) }

// look reads everything that clients can see, every body to its end.
func (p *process) look() (map[string]string, error) {
	seen := make(map[string]string)
	a := p.send("HEAD", "/"+bucket, nil)
	switch a.status {
	case 404:
		return seen, nil
	case 200:
		seen["/"+bucket] = "bucket"
	default:
		return nil, fmt.Errorf("I12: HEAD of the bucket: %d", a.status)
	}
	keys, err := p.list()
	if err != nil {
		return nil, err
	}
	for _, key := range p.keys(keys) {
		value, err := p.get(key)
		if err != nil {
			return nil, err
		}
		if listed := slices.Contains(keys, key); listed != (value != "") {
			return nil, fmt.Errorf("I3: %s is listed: %v; to be read: %v", key, listed, value != "")
		}
		if value != "" {
			seen[object(key)] = value
		}
	}
	return seen, p.lookAtUploads(seen)
}

// keys are those that are listed, and all that were ever written.
func (p *process) keys(listed []string) []string {
	all := slices.Clone(listed)
	for _, f := range p.history.now() {
		if f.asked == nil {
			continue
		}
		for name := range f.asked.changes {
			if key, ok := strings.CutPrefix(name, object("")); ok {
				all = append(all, key)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// list reads the listing page by page.
func (p *process) list() (keys []string, err error) {
	after := ""
	for {
		a := p.send("GET", "/"+bucket+"?list-type=2&max-keys=7&start-after="+url.QueryEscape(after), nil)
		var r struct {
			IsTruncated bool
			Contents    []struct{ Key string }
		}
		if err := xml.Unmarshal(a.body, &r); err != nil || a.status != 200 {
			return nil, fmt.Errorf("I12: a listing: %d %v %.300s", a.status, err, a.body)
		}
		for _, c := range r.Contents {
			if c.Key <= after {
				return nil, fmt.Errorf("I3: %q is listed behind %q", c.Key, after)
			}
			keys, after = append(keys, c.Key), c.Key
		}
		if !r.IsTruncated {
			return keys, nil
		}
	}
}

// get returns the value that an object is; "" if there is none.
func (p *process) get(key string) (value string, err error) {
	a := p.send("GET", object(key), nil)
	switch a.status {
	case 404:
		return "", nil
	case 200:
	default:
		return "", fmt.Errorf("I12: GET %s: %d %.300s", key, a.status, a.body)
	}
	value = strings.Join(a.header[strings.ToLower(metaHeader)], "") // sent as it is stored
	if value == "" || !bytes.Equal(a.body, body(value)) {
		return "", fmt.Errorf("I4: %s is said to be %q, and its %d bytes are something else", key, value, len(a.body))
	}
	return value, nil
}

// lookAtUploads adds the uploads that are open, and their parts.
func (p *process) lookAtUploads(seen map[string]string) error {
	a := p.send("GET", "/"+bucket+"?uploads=", nil)
	var r struct {
		IsTruncated bool
		Upload      []struct{ Key, UploadId string }
	}
	if err := xml.Unmarshal(a.body, &r); err != nil || a.status != 200 || r.IsTruncated {
		return fmt.Errorf("I12: open uploads: %d %v %.300s", a.status, err, a.body)
	}
	p.uploads = make(map[string]string)
	for _, u := range r.Upload {
		p.uploads[u.Key] = u.UploadId
		if seen["upload "+u.Key] != "" {
			return fmt.Errorf("I3: two uploads of %s are open", u.Key)
		}
		seen["upload "+u.Key] = "open"
		if isFiller(u.Key) {
			continue // they have no parts
		}
		a := p.send("GET", object(u.Key)+"?uploadId="+u.UploadId, nil)
		var parts struct{ Part []struct{ ETag string } }
		if err := xml.Unmarshal(a.body, &parts); err != nil || a.status != 200 {
			return fmt.Errorf("I12: parts of %s: %d %v %.300s", u.Key, a.status, err, a.body)
		}
		for _, part := range parts.Part {
			seen["part "+u.Key] += strings.Trim(part.ETag, `"`)
		}
	}
	return nil
}
