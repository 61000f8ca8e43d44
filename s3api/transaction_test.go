package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"ironman/wal/event"
)

// TestTransactionLevel: while a node of an older release is in the cluster no transaction
// is committed.
func TestTransactionLevel(t *testing.T) {
	for level, status := range map[uint32]int{event.FeatureLevel - 1: 503, event.FeatureLevel: 200} {
		w := newWorldAt(t, level)
		c := w.account(t, "100000000001", "owner", true)
		w.must(c, 200, "PUT", "/bucket", "")
		w.must(c, 200, "PUT", "/bucket/k", "bytes")
		w.must(c, status, "POST", "/bucket?transaction", `{"operations":[{"delete":{"key":"k"}}]}`)
	}
}

// TestTransactionPieces: uploads that are made of too many pieces together are refused by
// what the view shows, whether the pieces are put or given up.
func TestTransactionPieces(t *testing.T) {
	w := newWorld(t)
	c := w.account(t, "100000000001", "owner", true)
	w.must(c, 200, "PUT", "/bucket", "")
	const pieces = 300
	for i := range pieces {
		w.must(c, 200, "PUT", "/bucket/source", "x", "X-Amz-Write-Offset-Bytes", fmt.Sprint(i))
	}
	var puts []string
	for i, parts := range []int{33, 1, 1} { // 9,900 pieces, 100, and one too many
		key := fmt.Sprintf("k%d", i)
		id := w.must(c, 200, "POST", "/bucket/"+key+"?uploads", "").field("UploadId")
		etag := ""
		for n := range parts {
			target := fmt.Sprintf("/bucket/%s?partNumber=%d&uploadId=%s", key, n+1, id)
			if i == 2 {
				etag = w.must(c, 200, "PUT", target, "y").header.Get("Etag")
				continue
			}
			last := []int{pieces, 100}[i] - 1
			etag = w.must(c, 200, "PUT", target, "", "X-Amz-Copy-Source", "/bucket/source", "X-Amz-Copy-Source-Range", fmt.Sprint("bytes=0-", last)).field("ETag")
		}
		etag = strings.Trim(strings.ReplaceAll(etag, "&#34;", `"`), `"`)
		etag = strings.ReplaceAll(etag, "&quot;", "")
		puts = append(puts, fmt.Sprintf(`{"put":{"key":"%s","uploadId":"%s","parts":[{"partNumber":%d,"etag":"%s"}]}}`, key, id, parts, etag))
	}
	w.proposals = 0
	got := w.must(c, 400, "POST", "/bucket?transaction", `{"operations":[`+strings.Join(puts, ",")+`]}`)
	if got.code() != "TooManyParts" || got.field("OperationIndex") != "2" || w.proposals > 0 {
		t.Errorf("10,001 pieces: %v, %d proposals", got, w.proposals)
	}
	w.must(c, 200, "POST", "/bucket?transaction", `{"operations":[`+strings.Join(puts[:2], ",")+`]}`)
	if got := w.must(c, 200, "GET", "/bucket/k0", ""); string(got.body) != strings.Repeat("x", pieces) {
		t.Errorf("it holds %d bytes", len(got.body))
	}
}
