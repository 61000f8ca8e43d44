package mirror

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// markHeader is where an object of the target says what it shows: the sequence as of which, the
// source's entity tag then, and the proof that it is this source's, and this key.
const markHeader = "X-Amz-Meta-Ironman-Mirror"

// errForgotten says that the source does not keep the state at the moment any more;
// errMoved that an object of the target is not what was seen.
var (
	errForgotten = errors.New("mirror: the state of that moment is not kept any more")
	errMoved     = errors.New("mirror: the object was changed meanwhile")
)

// shown is an object of the target; zero: there is none.
type shown struct {
	etag   string
	header http.Header
	size   int64
	mine   bool   // it was written by a mirror of this source, at this key
	seq    uint64 // as of which it shows the source
	of     string // the source's entity tag then
}

// bring brings a key to its state as of an event. An object that shows the source as of least,
// or later, is passed over. least is 0 where nobody knows which event was the key's last: then
// an object is passed over that is equal.
func (m *Mirror) bring(ctx context.Context, key string, asOf, least uint64) error {
	err := persist(ctx, func() error {
		for tries := 0; ; tries++ {
			err := m.bringOnce(ctx, key, asOf, least)
			if !errors.Is(err, errMoved) || tries == 20 {
				return err
			}
		}
	})
	if r := asRefusal(err); r != nil && r.code == "MetadataTooLarge" {
		m.pass(key, asOf)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", key, err)
	}
	m.brought(key)
	return nil
}

func (m *Mirror) bringOnce(ctx context.Context, key string, asOf, least uint64) error {
	there, err := m.target(ctx, key)
	if err != nil || there.mine && least > 0 && there.seq >= least {
		return err
	}
	head, err := m.source(ctx, http.MethodHead, key, asOf, nil, http.Header{"X-Amz-Checksum-Mode": {"ENABLED"}})
	switch {
	case err == nil:
		head.Body.Close()
	case gone(err):
		return m.remove(ctx, key, there, asOf)
	default:
		return err
	}
	tags, err := m.tags(ctx, m.Source, m.From, key, head.Header, asOf)
	if err != nil {
		return err
	}
	if same, err := m.same(ctx, key, there, head, tags, asOf); err != nil || same && least == 0 {
		return err
	}
	if there.etag != "" && !there.mine {
		return final("%s/%s is not of this mirror, and is not replaced", m.To, key)
	}
	if err := m.put(ctx, key, there, head, tags, asOf); err != nil {
		return err
	}
	m.tell(Done{"put", key, asOf})
	return nil
}

// target looks at the target's object.
func (m *Mirror) target(ctx context.Context, key string) (shown, error) {
	_, h, err := m.Target.document(ctx, &request{method: http.MethodHead, bucket: m.To, key: key})
	if refused(err, http.StatusNotFound) {
		return shown{}, nil
	}
	if err != nil {
		return shown{}, err
	}
	s := shown{etag: h.Get("Etag"), header: h}
	s.size, _ = strconv.ParseInt(h.Get("Content-Length"), 10, 64) // an answer to HEAD has it
	if f := strings.Fields(h.Get(markHeader)); len(f) == 3 && f[2] == m.proof(key) {
		if seq, err := strconv.ParseUint(f[0], 10, 64); err == nil {
			s.mine, s.seq, s.of = true, seq, f[1]
		}
	}
	return s, nil
}

// source asks for something of the source's object as of an event.
func (m *Mirror) source(ctx context.Context, method, key string, asOf uint64, query url.Values, header http.Header) (*http.Response, error) {
	h := http.Header{"X-Ironman-As-Of": {seqText(asOf)}}
	maps.Copy(h, header)
	resp, err := m.Source.send(ctx, &request{method: method, bucket: m.From, key: key, query: query, header: h})
	if method == http.MethodHead && (refused(err, http.StatusBadRequest) || refused(err, http.StatusNotFound)) { // which does not say why; GET does
		got, getErr := m.source(ctx, http.MethodGet, key, asOf, query, header)
		if getErr == nil {
			got.Body.Close()
			return nil, err
		}
		err = getErr
	}
	return resp, forgotten(err)
}

// gone tells the answer that there is no such object. That there is no such bucket is another: it was
// deleted, or somebody made a mistake, and is no reason to empty its mirror.
func gone(err error) bool {
	r := asRefusal(err)
	return r != nil && r.status == http.StatusNotFound && (r.code == "NoSuchKey" || r.code == "NoSuchVersion")
}

// forgotten tells the answer that a moment is not kept any more.
func forgotten(err error) error {
	if r := asRefusal(err); r != nil && r.status == http.StatusBadRequest && strings.Contains(r.message, "not kept any more") {
		return fmt.Errorf("%w: %w", errForgotten, err)
	}
	return err
}

func seqText(seq uint64) string { return strconv.FormatUint(seq, 10) }

// tags are the tags of an object, as a header has them; "": none.
func (m *Mirror) tags(ctx context.Context, c *Client, bucket, key string, object http.Header, asOf uint64) (string, error) {
	if n := object.Get("X-Amz-Tagging-Count"); n == "" || n == "0" {
		return "", nil
	}
	q := &request{method: http.MethodGet, bucket: bucket, key: key, query: url.Values{"tagging": {""}}}
	if asOf > 0 {
		q.header = http.Header{"X-Ironman-As-Of": {seqText(asOf)}}
	}
	b, _, err := c.document(ctx, q)
	if err != nil {
		return "", forgotten(err)
	}
	var doc struct {
		TagSet struct {
			Tag []struct{ Key, Value string }
		}
	}
	if err := xml.Unmarshal(b, &doc); err != nil {
		return "", final("the tags of %q: %w", key, err)
	}
	v := url.Values{}
	for _, t := range doc.TagSet.Tag {
		v.Set(t.Key, t.Value)
	}
	return v.Encode(), nil
}

// same tells whether the target shows what the source had.
func (m *Mirror) same(ctx context.Context, key string, there shown, head *http.Response, tags string, asOf uint64) (bool, error) {
	if !there.mine || there.of != head.Header.Get("Etag") || there.size != head.ContentLength || !reflect.DeepEqual(kept(there.header), kept(head.Header)) {
		return false, nil
	}
	has, err := m.tags(ctx, m.Target, m.To, key, there.header, 0)
	return has == tags, err
}

// condition names what a write replaces.
func (s *shown) condition(h http.Header) {
	if s.etag == "" {
		h.Set("If-None-Match", "*")
	} else {
		h.Set("If-Match", s.etag)
	}
}

// moved tells whether a write was refused because the object is not what was seen.
func moved(err error) error {
	if refused(err, http.StatusPreconditionFailed) || refused(err, http.StatusConflict) {
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	return err
}

// remove removes what the source has not got any more.
func (m *Mirror) remove(ctx context.Context, key string, there shown, asOf uint64) error {
	if there.etag == "" || !there.mine {
		return nil
	}
	_, _, err := m.Target.document(ctx, &request{method: http.MethodDelete, bucket: m.To, key: key, header: http.Header{"If-Match": {there.etag}}})
	if gone(err) { // an answer that was lost
		return nil
	}
	if err == nil {
		m.tell(Done{"delete", key, asOf})
	}
	return moved(err)
}

// put copies an object. Where the source's is made of parts that a client may upload, the
// target's is made of the same: then it has the same entity tag, too.
func (m *Mirror) put(ctx context.Context, key string, there shown, head *http.Response, tags string, asOf uint64) error {
	h := kept(head.Header)
	h.Set(markHeader, seqText(asOf)+" "+head.Header.Get("Etag")+" "+m.proof(key))
	if tags != "" {
		h.Set("X-Amz-Tagging", tags)
	}
	parts, err := m.parts(ctx, key, head, asOf)
	if err != nil {
		return err
	}
	if len(parts) > 0 {
		return m.putParts(ctx, key, there, parts, h, asOf)
	}
	resp, err := m.source(ctx, http.MethodGet, key, asOf, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	there.condition(h)
	checksumOf(head.Header, h)
	return m.upload(ctx, &request{method: http.MethodPut, bucket: m.To, key: key, header: h, body: resp.Body, length: resp.ContentLength})
}

// upload sends a request with a body, which cannot be sent again.
func (m *Mirror) upload(ctx context.Context, q *request) error {
	_, err := m.answered(ctx, q)
	return moved(err)
}

// answered sends a request once, and reads the answer.
func (m *Mirror) answered(ctx context.Context, q *request) (http.Header, error) {
	resp, err := m.Target.send(ctx, q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err == nil && strings.Contains(string(b), "<Error>") { // with the status of success: of a completion
		var doc struct{ Code, Message string }
		_ = xml.Unmarshal(b, &doc)
		err = &refusal{q.method + " " + q.key, http.StatusServiceUnavailable, doc.Code, doc.Message}
	}
	return resp.Header, err
}

// checksumOf puts the checksum of an object's bytes, if the source tells one of them all, on
// a request: the target then verifies what it was sent.
func checksumOf(source, h http.Header) {
	if source.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
		return
	}
	for name, values := range source {
		if strings.HasPrefix(name, "X-Amz-Checksum-") && name != "X-Amz-Checksum-Type" {
			h[name] = values
		}
	}
}
