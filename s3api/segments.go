package s3api

import (
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// A body is a list of segments, and a part that is copied takes over those of its
// range. Copies of copies could multiply them without a byte being sent, until an
// event could not be applied, nor a body be read, in any node's memory. So they are
// bounded, well above what parts of five MiB and more need.
const (
	// maxPartSegments: a part of 5 GiB out of parts of 5 MiB has 1,025.
	maxPartSegments = 1100
	// maxObjectSegments is about 13 for each of 10,000 parts.
	maxObjectSegments = 1 << 17
)

// copiedSegments takes a range out of a body to make a part of it.
func copiedSegments(segments []*event.Segment, rng byteRange) ([]*event.Segment, error) {
	if rng.length > maxPutBytes {
		return nil, s3err.Newf("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(maxPutBytes))
	}
	var out []*event.Segment
	skip, left := rng.offset, rng.length
	for _, s := range segments {
		n := int64(s.Length)
		if skip >= n {
			skip -= n
			continue
		}
		take := min(n-skip, left)
		if take == 0 {
			break
		}
		if len(out) == maxPartSegments {
			return nil, s3err.Newf("InvalidRequest", "The range is made of more than %d pieces of other uploads. Copy it in smaller parts.", maxPartSegments)
		}
		out = append(out, &event.Segment{Blob: s.Blob, Offset: s.Offset + uint64(skip), Length: uint64(take)})
		skip, left = 0, left-take
	}
	return out, nil
}
