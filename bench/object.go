package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ironman/s3api/sig"
	"ironman/wal/digest"
)

// The operations of a worker. Each takes keys as they are made here: letters,
// digits, '-' and '/'.

// bodied gives a call an extent for a body.
func (w *worker) bodied(q call, e extent) *call {
	q.open = func() io.ReadCloser { return w.content.reader(e) }
	q.length = e.length
	if q.payload = sig.UnsignedPayload; !w.side.client.unsigned {
		q.payload = w.content.hash(e)
	}
	return &q
}

// put stores an object with the content of its key.
func (w *worker) put(ctx context.Context, key string, size int64) error {
	q := call{method: http.MethodPut, key: key, via: w.number}
	_, err := w.side.client.discard(ctx, w.bodied(q, w.content.of(key, size)))
	return err
}

// get reads an object and checks every byte of it.
func (w *worker) get(ctx context.Context, key string, size int64) error {
	resp, err := w.side.client.expect(ctx, &call{method: http.MethodGet, key: key, via: w.number})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return w.content.verify(resp.Body, key, w.content.of(key, size), w.buf)
}

// head asks for an object's size.
func (w *worker) head(ctx context.Context, key string, size int64) error {
	resp, err := w.side.client.expect(ctx, &call{method: http.MethodHead, key: key, via: w.number})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.ContentLength != size {
		return &corruption{key, fmt.Sprintf("is said to have %d bytes, not %d", resp.ContentLength, size)}
	}
	return nil
}

// remove deletes one object.
func (w *worker) remove(ctx context.Context, key string) error {
	_, err := w.side.client.discard(ctx, &call{method: http.MethodDelete, key: key, via: w.number})
	return err
}

// multipart stores an object in parts. An upload that fails is aborted.
func (w *worker) multipart(ctx context.Context, key string, size, partSize int64) (err error) {
	c := w.side.client
	if err := c.document(ctx, &call{method: http.MethodPost, key: key, query: "uploads=", via: w.number}, &w.page); err != nil {
		return err
	}
	id, ok := element(w.page.Bytes(), "UploadId")
	if !ok {
		return errors.New("CreateMultipartUpload was answered without an upload id")
	}
	query := "uploadId=" + escapeQuery(id)
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_, _ = c.discard(ctx, &call{method: http.MethodDelete, key: key, query: query, via: w.number}) // err says more
		}
	}()
	whole := w.content.of(key, size)
	list := []byte("<CompleteMultipartUpload>")
	for n, at := 1, int64(0); at < size; n, at = n+1, at+partSize {
		q := call{method: http.MethodPut, key: key, via: w.number, query: "partNumber=" + strconv.Itoa(n) + "&" + query}
		h, err := c.discard(ctx, w.bodied(q, whole.part(at, min(partSize, size-at))))
		if err != nil {
			return err
		}
		list = fmt.Appendf(list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, escapeXML(h.Get("ETag")))
	}
	list = append(list, "</CompleteMultipartUpload>"...)
	q := call{method: http.MethodPost, key: key, query: query, via: w.number}.withBody(list)
	return c.document(ctx, &q, &w.page)
}

// removeAll deletes up to 1,000 objects with one DeleteObjects.
func (c *client) removeAll(ctx context.Context, via int, keys []string, page *bytes.Buffer) error {
	b := []byte(`<Delete><Quiet>true</Quiet>`)
	for _, k := range keys {
		b = append(b, "<Object><Key>"...)
		b = append(b, escapeXML(k)...)
		b = append(b, "</Key></Object>"...)
	}
	b = append(b, "</Delete>"...)
	q := call{method: http.MethodPost, query: "delete=", via: via}.withBody(b)
	q.md5 = contentMD5(b)
	return c.document(ctx, &q, page)
}

// contentMD5 is the header of a document, which some operations must have.
func contentMD5(b []byte) string {
	sum := digest.NewMD5()
	_, _ = sum.Write(b) // never fails
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// listPage reads up to 1,000 keys under prefix into page and returns where the next
// page begins; empty: there is none.
func (c *client) listPage(ctx context.Context, via int, prefix, token string, page *bytes.Buffer) (next string, err error) {
	q := call{method: http.MethodGet, via: via, query: "list-type=2&max-keys=1000&prefix=" + escapeQuery(prefix)}
	if token != "" {
		q.query += "&continuation-token=" + escapeQuery(token)
	}
	if err := c.document(ctx, &q, page); err != nil {
		return "", err
	}
	switch truncated, _ := element(page.Bytes(), "IsTruncated"); truncated {
	case "true":
		if next, _ = element(page.Bytes(), "NextContinuationToken"); next == "" {
			return "", errors.New("a truncated listing without NextContinuationToken")
		}
		return next, nil
	case "false":
		return "", nil
	}
	return "", errors.New("a listing without IsTruncated")
}

// checkPage compares a page of a listing with the keys it must hold, in order, and
// their size.
func checkPage(page []byte, keys []string, size int64) error {
	if n := bytes.Count(page, []byte("<Key>")); n != len(keys) {
		return &corruption{"a page of the listing", fmt.Sprintf("has %d keys, not %d", n, len(keys))}
	}
	want := strconv.FormatInt(size, 10)
	for _, k := range keys {
		var ok bool
		if page, ok = after(page, "Key", k); !ok {
			return &corruption{k, "is not where it belongs in the listing"}
		}
		if page, ok = after(page, "Size", want); !ok {
			return &corruption{k, "is listed with a wrong size"}
		}
	}
	return nil
}

// after returns what follows the first element of that name, if its text is want.
func after(page []byte, name, want string) ([]byte, bool) {
	i := bytes.Index(page, []byte("<"+name+">"))
	if i < 0 {
		return nil, false
	}
	page, ok := bytes.CutPrefix(page[i+len(name)+2:], []byte(want))
	if !ok {
		return nil, false
	}
	return bytes.CutPrefix(page, []byte("</"+name+">"))
}

func escapeQuery(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func escapeXML(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}
