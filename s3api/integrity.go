package s3api

import (
	"net/http"
	"strconv"
	"strings"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

const noChecksum = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_NONE

func checksumType(composite bool) string {
	if composite {
		return "COMPOSITE"
	}
	return "FULL_OBJECT"
}

// partsOf is the number of parts that an entity tag tells of; 0 for a plain one.
func partsOf(etag string) int {
	_, n, found := strings.Cut(etag, "-")
	if !found {
		return 0
	}
	parts, err := strconv.Atoi(n)
	if err != nil {
		return 0
	}
	return parts
}

// setChecksum puts an object's checksum on an answer.
func setChecksum(h http.Header, c *event.Checksum, etag string) {
	if c == nil {
		return
	}
	h.Set(checksum.Header(c.Algorithm), checksum.Text(c, partsOf(etag)))
	h.Set("X-Amz-Checksum-Type", checksumType(c.Composite))
}

// checksumsXML is a checksum as documents show it.
func checksumsXML(c *event.Checksum, etag string) s3xml.Checksums {
	var x s3xml.Checksums
	if c == nil {
		return x
	}
	text := checksum.Text(c, partsOf(etag))
	switch c.Algorithm {
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32:
		x.ChecksumCRC32 = text
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32C:
		x.ChecksumCRC32C = text
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC64NVME:
		x.ChecksumCRC64NVME = text
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_SHA1:
		x.ChecksumSHA1 = text
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_SHA256:
		x.ChecksumSHA256 = text
	}
	return x
}

// checkPartAlgorithm refuses a part whose checksum is not of the upload's kind.
func (r *Request) checkPartAlgorithm(u *fsm.Upload) error {
	e, err := checksum.Expect(r.HTTP.Header, r.identity.TrailerName())
	if err != nil {
		return err
	}
	if e.Algorithm == noChecksum || u.ChecksumAlgorithm == noChecksum || e.Algorithm == u.ChecksumAlgorithm {
		return nil
	}
	return s3err.Newf("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
		strings.ToLower(checksum.Name(u.ChecksumAlgorithm)), strings.ToLower(checksum.Name(e.Algorithm)))
}

// completion gathers what the parts of an upload make together.
type completion struct {
	upload *fsm.Upload
	tags   []string
	parts  []checksum.Part
}

// add takes a part and compares the checksum that the client repeats.
func (c *completion) add(p *fsm.Part, claimed *s3xml.CompletedPart) error {
	c.tags = append(c.tags, p.Etag)
	if c.upload.ChecksumAlgorithm == noChecksum {
		return nil
	}
	if p.Checksum.GetAlgorithm() != c.upload.ChecksumAlgorithm {
		return invalidPart(c.upload, claimed)
	}
	c.parts = append(c.parts, checksum.Part{Value: p.Checksum.Value, Size: p.Size})
	given := claimedChecksum(claimed, c.upload.ChecksumAlgorithm)
	if given != "" && given != checksum.Text(p.Checksum, 0) {
		return invalidPart(c.upload, claimed)
	}
	if given == "" && c.upload.ChecksumComposite {
		return s3err.Newf("InvalidRequest", "The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.",
			strings.ToLower(checksum.Name(c.upload.ChecksumAlgorithm)), claimed.PartNumber)
	}
	return nil
}

func claimedChecksum(p *s3xml.CompletedPart, a event.ChecksumAlgorithm) string {
	switch a {
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32:
		return p.ChecksumCRC32
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32C:
		return p.ChecksumCRC32C
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC64NVME:
		return p.ChecksumCRC64NVME
	case event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_SHA1:
		return p.ChecksumSHA1
	}
	return p.ChecksumSHA256
}

// finish makes the object's entity tag and checksum, and compares the latter with
// what the client says it must be.
func (c *completion) finish(r *Request) (string, *event.Checksum, error) {
	etag, err := checksum.MultipartETag(c.tags)
	if err != nil || c.upload.ChecksumAlgorithm == noChecksum {
		return etag, nil, err
	}
	a := c.upload.ChecksumAlgorithm
	var sum *event.Checksum
	if c.upload.ChecksumComposite {
		sum, err = checksum.Composite(a, c.parts)
	} else {
		sum, err = checksum.FullObject(a, c.parts)
	}
	if err != nil {
		return "", nil, err
	}
	given, text := r.completeChecksum[checksum.Header(a)], checksum.Text(sum, len(c.tags))
	bare, _, _ := strings.Cut(text, "-") // some clients leave the number of parts away
	if given != "" && given != text && given != bare {
		return "", nil, s3err.Newf("BadDigest", "The %s you specified did not match the calculated checksum.", strings.ToLower(checksum.Name(a)))
	}
	return etag, sum, nil
}

// takeObjectChecksum takes the checksum headers of CompleteMultipartUpload off the
// request: they speak of the object, not of the document in the body.
func (r *Request) takeObjectChecksum() {
	r.completeChecksum = make(map[string]string)
	for _, a := range event.ChecksumAlgorithm_value {
		name := checksum.Header(event.ChecksumAlgorithm(a))
		if v := r.HTTP.Header.Get(name); name != "" && v != "" {
			r.completeChecksum[name] = v
			r.HTTP.Header.Del(name)
		}
	}
}
