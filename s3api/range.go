package s3api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"ironman/fsm"
	"ironman/s3api/s3err"
)

// byteRange is what of an object is sent.
type byteRange struct{ offset, length int64 }

// chooseRange settles Range and partNumber, and sets the headers that tell.
func (r *Request) chooseRange(o *fsm.Object, parts []*fsm.PartInfo, resp *Response) (byteRange, error) {
	size := int64(o.Size)
	whole := byteRange{0, size}
	header := r.Header.Get("Range")
	if r.Query.Has("partNumber") {
		if header != "" {
			return whole, s3err.Newf("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
		}
		return r.choosePart(o, parts, resp)
	}
	if header == "" || r.rangeIsStale(o) {
		return whole, nil
	}
	rng, ok, satisfiable := parseRange(header, size)
	if !ok {
		return whole, nil // not a single byte range: ignored, as RFC 9110 allows
	}
	if !satisfiable {
		return whole, s3err.New("InvalidRange").With("RangeRequested", header).With("ActualObjectSize", strconv.FormatInt(size, 10))
	}
	partial(resp, rng, size)
	return rng, nil
}

func partial(resp *Response, rng byteRange, size int64) {
	resp.Status = http.StatusPartialContent
	resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", rng.offset, rng.offset+rng.length-1, size))
}

// rangeIsStale judges If-Range: a range of another version is not wanted. Its date is
// a name of the version and no earliest date, and a weak tag names none (RFC 9110,
// section 13.1.5).
func (r *Request) rangeIsStale(o *fsm.Object) bool {
	v := r.Header.Get("If-Range")
	if v == "" {
		return false
	}
	if t, ok := httpTime(v); ok {
		return o.Time/1e9 != t
	}
	return strings.HasPrefix(v, "W/") || !matchesTag(entityTags(v), o.Etag)
}

// wantedPart reads partNumber; 0 if there is none. An object that was not a multipart
// upload is its own part 1.
func (r *Request) wantedPart(parts []*fsm.PartInfo) (int, error) {
	if !r.Query.Has("partNumber") {
		return 0, nil
	}
	n, err := strconv.Atoi(r.Query.Get("partNumber"))
	if err != nil || n < 1 || n > maxPartNumber {
		return 0, s3err.Newf("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive").
			With("ArgumentName", "partNumber").With("ArgumentValue", r.Query.Get("partNumber"))
	}
	if count := max(len(parts), 1); n > count {
		return 0, s3err.Newf("InvalidPart", "The requested part number is not satisfiable").With("PartNumberRequested", strconv.Itoa(n)).With("ActualPartCount", strconv.Itoa(count))
	}
	return n, nil
}

// choosePart settles a partNumber read.
func (r *Request) choosePart(o *fsm.Object, parts []*fsm.PartInfo, resp *Response) (byteRange, error) {
	n, err := r.wantedPart(parts)
	if err != nil {
		return byteRange{}, err
	}
	rng, sum := byteRange{length: int64(o.Size)}, o.Checksum
	if len(parts) > 0 {
		rng.length, sum = int64(parts[n-1].Size), parts[n-1].Checksum
		resp.Header.Set("X-Amz-Mp-Parts-Count", strconv.Itoa(len(parts)))
	}
	if r.wantsChecksum() && sum != nil {
		setPartChecksum(resp.Header, sum)
		resp.Header.Set("X-Amz-Checksum-Type", checksumType(o.Checksum.GetComposite()))
	}
	for _, p := range parts[:min(n-1, len(parts))] {
		rng.offset += int64(p.Size)
	}
	if rng.length > 0 { // no Content-Range can tell of no bytes
		partial(resp, rng, int64(o.Size))
	}
	return rng, nil
}

// parseRange reads a single byte range (RFC 9110, section 14.1.2). ok is false
// for anything else.
func parseRange(header string, size int64) (rng byteRange, ok, satisfiable bool) {
	spec, found := strings.CutPrefix(header, "bytes=")
	if !found || strings.Contains(spec, ",") {
		return rng, false, false
	}
	first, last, found := strings.Cut(spec, "-")
	if !found {
		return rng, false, false
	}
	if first == "" {
		n, good := digits(last)
		if !good || n > 0 && size == 0 { // of an empty object Amazon passes over it
			return rng, false, false
		}
		n = min(n, size)
		return byteRange{size - n, n}, true, n > 0
	}
	from, good := digits(first)
	if !good {
		return rng, false, false
	}
	to := size - 1
	if last != "" {
		n, good := digits(last)
		if !good || n < from {
			return rng, false, false
		}
		to = min(to, n)
	}
	return byteRange{from, to - from + 1}, true, from < size
}

// digits reads a number that may exceed int64: then it is as large as can be.
func digits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}
