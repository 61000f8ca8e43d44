package checksum

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"ironman/wal/digest"
)

// ETag returns the entity tag of a body that was sent in one piece, without quotes:
// its MD5 in hexadecimal.
func ETag(md5 [16]byte) string { return hex.EncodeToString(md5[:]) }

// MultipartETag returns the entity tag of an object made of parts, without quotes: the
// MD5 of the parts' MD5s, and "-" with their number. Each part's tag is an MD5 in
// hexadecimal, without quotes.
func MultipartETag(parts []string) (string, error) {
	h := digest.NewMD5()
	for i, tag := range parts {
		sum, err := hex.DecodeString(tag)
		if err != nil || len(sum) != h.Size() {
			return "", fmt.Errorf("checksum: entity tag %q of part %d is no MD5", tag, i+1)
		}
		h.Write(sum)
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts)), nil
}
