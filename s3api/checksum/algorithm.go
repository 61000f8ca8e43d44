package checksum

import (
	"encoding/base64"
	"hash"
	"strconv"
	"strings"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// Short names for the algorithms of the vocabulary.
const (
	none      = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_NONE
	crc32     = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32
	crc32c    = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC32C
	crc64nvme = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_CRC64NVME
	sha1      = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_SHA1
	sha256    = event.ChecksumAlgorithm_CHECKSUM_ALGORITHM_SHA256
)

const unsupported = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: " +
	"[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"

// Name returns the name of an algorithm in headers and XML; empty: none.
func Name(a event.ChecksumAlgorithm) string {
	switch a {
	case crc32:
		return "CRC32"
	case crc32c:
		return "CRC32C"
	case crc64nvme:
		return "CRC64NVME"
	case sha1:
		return "SHA1"
	case sha256:
		return "SHA256"
	}
	return ""
}

// Header returns the header that carries a checksum, as a key of http.Header; empty:
// none.
func Header(a event.ChecksumAlgorithm) string {
	switch a {
	case crc32:
		return "X-Amz-Checksum-Crc32"
	case crc32c:
		return "X-Amz-Checksum-Crc32c"
	case crc64nvme:
		return "X-Amz-Checksum-Crc64nvme"
	case sha1:
		return "X-Amz-Checksum-Sha1"
	case sha256:
		return "X-Amz-Checksum-Sha256"
	}
	return ""
}

// ParseAlgorithm reads the name of an algorithm, in any case. The error is an *Error.
func ParseAlgorithm(name string) (event.ChecksumAlgorithm, error) {
	switch strings.ToUpper(name) {
	case "CRC32":
		return crc32, nil
	case "CRC32C":
		return crc32c, nil
	case "CRC64NVME":
		return crc64nvme, nil
	case "SHA1":
		return sha1, nil
	case "SHA256":
		return sha256, nil
	}
	return none, invalid(unsupported)
}

// Size returns the length of a checksum in bytes.
func Size(a event.ChecksumAlgorithm) int {
	switch a {
	case crc32, crc32c:
		return 4
	case crc64nvme:
		return 8
	case sha1:
		return 20
	case sha256:
		return 32
	}
	return 0
}

// newHash returns a running checksum; nil: none. Its Sum is what S3 shows: CRCs
// big-endian.
func newHash(a event.ChecksumAlgorithm) hash.Hash {
	switch a {
	case crc32:
		return digest.NewCRC32()
	case crc32c:
		return digest.NewCRC32C()
	case crc64nvme:
		return digest.NewCRC64NVME()
	case sha1:
		return digest.NewSHA1()
	case sha256:
		return digest.NewSHA256()
	}
	return nil
}

// Text returns a checksum as S3 shows it: base64, and for a composite one "-" and the
// number of parts.
func Text(c *event.Checksum, parts int) string {
	s := base64.StdEncoding.EncodeToString(c.GetValue())
	if c.GetComposite() {
		s += "-" + strconv.Itoa(parts)
	}
	return s
}

// ParseText reads what Text shows. parts is 0 where there is no number of parts. ok is
// false for anything but the one encoding of a value of the right length.
func ParseText(a event.ChecksumAlgorithm, s string) (value []byte, parts int, ok bool) {
	encoded, number, composite := strings.Cut(s, "-")
	if composite {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != number {
			return nil, 0, false
		}
		parts = int(n)
	}
	value, ok = decode(a, encoded)
	return value, parts, ok
}

// decode reads the base64 of a checksum.
func decode(a event.ChecksumAlgorithm, s string) (value []byte, ok bool) {
	if a == none || len(s) != base64.StdEncoding.EncodedLen(Size(a)) {
		return nil, false
	}
	value, err := base64.StdEncoding.Strict().DecodeString(s)
	return value, err == nil && len(value) == Size(a)
}
