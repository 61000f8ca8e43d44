package mirror

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	leastPart  = 5 << 20  // that a client may upload, but for the last
	mostAtOnce = 5 << 30  // that is put without parts
	ownPart    = 64 << 20 // of an object whose parts cannot be uploaded again
	mostParts  = 10_000
)

// part is a piece of an object.
type part struct{ offset, length int64 }

// parts are the pieces in which an object is to be uploaded; none: it is put whole.
func (m *Mirror) parts(ctx context.Context, key string, head *http.Response, asOf uint64) (all []part, err error) {
	size := head.ContentLength
	if strings.Contains(head.Header.Get("Etag"), "-") {
		if all, err = m.sourceParts(ctx, key, size, asOf); err != nil || len(all) > 0 {
			return all, err
		}
	}
	if size <= mostAtOnce {
		return nil, nil
	}
	length := max(int64(ownPart), (size+mostParts-1)/mostParts)
	for at := int64(0); at < size; at += length {
		all = append(all, part{at, min(length, size-at)})
	}
	return all, nil
}

// sourceParts are those that the source's object is made of; none, if they could not be uploaded so.
func (m *Mirror) sourceParts(ctx context.Context, key string, size int64, asOf uint64) (all []part, err error) {
	at := int64(0)
	for number, n := 1, 1; number <= n; number++ {
		head, err := m.source(ctx, http.MethodHead, key, asOf, url.Values{"partNumber": {strconv.Itoa(number)}}, nil)
		if err != nil {
			return nil, err
		}
		head.Body.Close()
		if n, err = strconv.Atoi(head.Header.Get("X-Amz-Mp-Parts-Count")); err != nil || n > mostParts {
			return nil, nil
		}
		all = append(all, part{at, head.ContentLength})
		if at += head.ContentLength; number < n && head.ContentLength < leastPart {
			return nil, nil
		}
	}
	if at != size {
		return nil, final("the parts of %q are of %d bytes, and it is of %d", key, at, size)
	}
	return all, nil
}

// putParts uploads an object in parts. An upload that fails is aborted.
func (m *Mirror) putParts(ctx context.Context, key string, there shown, parts []part, h http.Header, asOf uint64) (err error) {
	b, _, err := m.Target.document(ctx, &request{method: http.MethodPost, bucket: m.To, key: key, query: url.Values{"uploads": {""}}, header: h})
	if err != nil {
		return err
	}
	var begun struct{ UploadId string }
	if err := xml.Unmarshal(b, &begun); err != nil || begun.UploadId == "" {
		return final("an upload of %q was not begun: %v", key, err)
	}
	defer func() {
		if err != nil {
			// If it cannot be aborted the target's lifecycle rules may.
			resp, abortErr := m.Target.send(context.WithoutCancel(ctx), &request{method: http.MethodDelete, bucket: m.To, key: key, query: url.Values{"uploadId": {begun.UploadId}}})
			if abortErr == nil {
				resp.Body.Close()
			}
		}
	}()
	var list bytes.Buffer
	for i, p := range parts {
		etag, err := m.putPart(ctx, key, begun.UploadId, i+1, p, asOf)
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, strings.Trim(etag, `"`))
	}
	body := "<CompleteMultipartUpload>" + list.String() + "</CompleteMultipartUpload>"
	end := make(http.Header)
	there.condition(end)
	return m.upload(ctx, &request{
		method: http.MethodPost, bucket: m.To, key: key, query: url.Values{"uploadId": {begun.UploadId}}, header: end, body: strings.NewReader(body), length: int64(len(body)),
	})
}

// putPart copies a part.
func (m *Mirror) putPart(ctx context.Context, key, upload string, number int, p part, asOf uint64) (etag string, err error) {
	err = persist(ctx, func() error {
		query := url.Values{"partNumber": {strconv.Itoa(number)}, "uploadId": {upload}}
		if p.length == 0 { // which no range can name
			h, err := m.answered(ctx, &request{method: http.MethodPut, bucket: m.To, key: key, query: query, body: strings.NewReader("")})
			etag = h.Get("Etag")
			return err
		}
		resp, err := m.source(ctx, http.MethodGet, key, asOf, nil, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", p.offset, p.offset+p.length-1)}})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		h, err := m.answered(ctx, &request{method: http.MethodPut, bucket: m.To, key: key, query: query, body: resp.Body, length: p.length})
		etag = h.Get("Etag")
		return err
	})
	return etag, err
}
