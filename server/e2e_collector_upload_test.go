package server_test

import (
	"encoding/xml"
	"fmt"
)

// upload takes a step of a multipart upload.
func (w *collectorWorld) upload() {
	ids := w.m.ids()
	if len(ids) == 0 || len(ids) < 3 && w.rng.IntN(4) == 0 {
		var made struct{ UploadId string }
		key := w.key()
		w.log("begin an upload of %s", key)
		w.demand(xml.Unmarshal(w.client().must(w.T, 200, "POST", "/collected/"+key+"?uploads", nil).body, &made))
		w.m.uploads[made.UploadId] = &modelUpload{id: made.UploadId, key: key, parts: make(map[int]*modelPart)}
		return
	}
	u := w.m.uploads[ids[w.rng.IntN(len(ids))]]
	switch w.rng.IntN(6) {
	case 0:
		now := w.clock.now()
		w.log("abort the upload of %s", u.key)
		w.client().must(w.T, 204, "DELETE", "/collected/"+u.key+"?uploadId="+u.id, nil)
		w.m.end(u, now)
	case 1:
		w.complete(u)
	case 2:
		w.copyPart(u)
	default:
		w.part(u)
	}
}

// part uploads a part: the first is as large as any but a last one must be.
func (w *collectorWorld) part(u *modelUpload) {
	number, body, now := 2, w.body(), w.clock.now()
	if w.rng.IntN(10) == 0 {
		w.seeds++
		number, body = 1, content(w.seeds, 5<<20)
	}
	w.log("part %d of %s, %d bytes", number, u.key, len(body))
	w.client().must(w.T, 200, "PUT", fmt.Sprintf("/collected/%s?partNumber=%d&uploadId=%s", u.key, number, u.id), body)
	w.m.setPart(u, number, &modelPart{blobs: w.named(body), etag: etag(body)}, now)
}

// copyPart makes an object a part: no byte moves.
func (w *collectorWorld) copyPart(u *modelUpload) {
	keys := w.m.keys()
	if len(keys) == 0 {
		return
	}
	from, now := keys[w.rng.IntN(len(keys))], w.clock.now()
	w.log("part 2 of %s is a copy of %s", u.key, from)
	a := w.client().must(w.T, 200, "PUT", fmt.Sprintf("/collected/%s?partNumber=2&uploadId=%s", u.key, u.id), nil, header("X-Amz-Copy-Source", "/collected/"+from))
	var made struct{ ETag string }
	w.demand(xml.Unmarshal(a.body, &made))
	w.m.setPart(u, 2, &modelPart{blobs: w.m.objects[from].blobs, etag: made.ETag}, now)
}

// complete makes an object of the parts there are, or of the last alone.
func (w *collectorWorld) complete(u *modelUpload) {
	if len(u.parts) == 0 {
		return
	}
	b, now := &modelBody{assembled: true}, w.clock.now()
	doc := "<CompleteMultipartUpload>"
	for number := 1 + w.rng.IntN(2); number <= 2; number++ {
		if p := u.parts[number]; p != nil {
			b.blobs = append(b.blobs, p.blobs...)
			doc += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", number, p.etag)
		}
	}
	if len(b.blobs) == 0 {
		return
	}
	w.log("complete the upload of %s, %d blobs", u.key, len(b.blobs))
	w.client().must(w.T, 200, "POST", "/collected/"+u.key+"?uploadId="+u.id, []byte(doc+"</CompleteMultipartUpload>"))
	w.m.end(u, now)
	w.m.set(u.key, b, now)
}
