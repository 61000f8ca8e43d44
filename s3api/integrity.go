package s3api

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

const (
	noChecksum = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_NONE
	// ownChecksum is what an object has whose client asked for none, as with Amazon.
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
	ownChecksum = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC64NVME
)

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
	claim  *checksum.Claim
	tags   []string
	parts  []checksum.Part
	// unknown: a part has no checksum of the algorithm (it was copied by reference, or
	// stored by an older release into an upload without one).
	unknown bool
	// What the parts' bytes are, for when they must be read: segments, and wrapped keys.
	segments []*event.Segment
	keys     []*event.WrappedKey
}

// algorithm is that of the object's checksum: the upload's, or the store's own.
func (c *completion) algorithm() event.ChecksumAlgorithm {
	if c.upload.ChecksumAlgorithm == noChecksum {
		return ownChecksum
	}
	return c.upload.ChecksumAlgorithm
}

// add takes a part and compares the checksum that the client repeats.
func (c *completion) add(p *fsm.Part, claimed *s3xml.CompletedPart) error {
	c.tags = append(c.tags, p.Etag)
	if err := c.compare(p, claimed); err != nil {
		return err
	}
	if p.Checksum.GetAlgorithm() != c.algorithm() {
		if c.upload.ChecksumAlgorithm != noChecksum {
			return invalidPart(c.upload, claimed)
		}
		c.unknown = true
	}
	c.parts = append(c.parts, checksum.Part{Value: p.Checksum.GetValue(), Size: p.Size})
	c.segments, c.keys = append(c.segments, p.Segments...), append(c.keys, p.Encryption.GetKeys()...)
	return nil
}

// compare judges what the client says of a part's checksum. In an upload without an
// algorithm parts may have been sent with any; those were compared then, and are not kept.
func (c *completion) compare(p *fsm.Part, claimed *s3xml.CompletedPart) error {
	a, text, ok := claimedChecksum(&claimed.Checksums)
	value, parts, valid := checksum.ParseText(a, text)
	switch {
	case !ok || a != noChecksum && (!valid || parts != 0):
		return s3err.InvalidArgument("Checksum", text, "Invalid Base64 or multiple checksums present in request")
	case c.upload.ChecksumAlgorithm == noChecksum:
		return nil
	case a == noChecksum: // Amazon demands that of composite checksums; the part's own was compared when it came
		return nil
	case a != c.upload.ChecksumAlgorithm:
		return s3err.Newf("BadDigest", "The %s you specified for part %d did not match what we received.", strings.ToLower(checksum.Name(a)), claimed.PartNumber)
	case !bytes.Equal(value, p.Checksum.GetValue()):
		return invalidPart(c.upload, claimed)
	}
	return nil
}

// claimedChecksum finds the one checksum that a document repeats; ok is false for
// several. Those that the store does not compute are not looked at.
func claimedChecksum(x *s3xml.Checksums) (a event.ChecksumAlgorithm, text string, ok bool) {
	found := 0
	for _, c := range [...]struct {
		algorithm event.ChecksumAlgorithm
		text      string
	}{
		{event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32, x.ChecksumCRC32},
		{event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32C, x.ChecksumCRC32C},
		{event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC64NVME, x.ChecksumCRC64NVME},
		{event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_SHA1, x.ChecksumSHA1},
		{event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_SHA256, x.ChecksumSHA256},
	} {
		if c.text != "" {
			a, text = c.algorithm, c.text
			found++
		}
	}
	return a, text, found <= 1
}

// finish makes the object's entity tag and checksum, and compares the latter with
// what the client says it must be.
func (c *completion) finish() (string, *event.Checksum, error) {
	etag, err := checksum.MultipartETag(c.tags)
	if err != nil {
		return "", nil, err
	}
	if err := c.claim.CheckType(c.upload.ChecksumComposite); err != nil {
		return "", nil, err
	}
	if c.unknown {
		return etag, nil, nil
	}
	var sum *event.Checksum
	if c.upload.ChecksumComposite {
		sum, err = checksum.Composite(c.algorithm(), c.parts)
	} else {
		sum, err = checksum.FullObject(c.algorithm(), c.parts)
	}
	if err != nil {
		return "", nil, err
	}
	if c.upload.ChecksumAlgorithm == noChecksum && !c.claim.Speaks(ownChecksum) {
		return etag, sum, nil // Amazon passes over others here
	}
	return etag, sum, c.claim.Check(sum, len(c.tags))
}

// readClaimed reads the bytes of an object for the checksum that the client says it has,
// where a part has none to compute it of. It then closes the view.
func (s *Server) readClaimed(ctx context.Context, r *Request, c *completion, to *sealing, done *event.UploadCompleted) error {
	if !c.unknown || !c.claim.Speaks(ownChecksum) {
		return nil
	}
	from, err := to.opening(c.keys)
	if err != nil {
		return err
	}
	read, err := s.digestRange(ctx, r, c.segments, byteRange{0, int64(done.Size)}, from, ownChecksum)
	if err != nil {
		return err
	}
	done.Checksum = read.checksum
	return c.claim.Check(read.checksum, len(c.tags))
}

// takeObjectChecksum takes the checksum headers of CompleteMultipartUpload off the
// request: they speak of the object, not of the document in the body.
func (r *Request) takeObjectChecksum() (*checksum.Claim, error) {
	claim, err := checksum.ExpectObject(r.HTTP.Header)
	for _, a := range event.ChecksumAlgorithm_value {
		if name := checksum.Header(event.ChecksumAlgorithm(a)); name != "" {
			r.HTTP.Header.Del(name)
		}
	}
	return claim, err
}
