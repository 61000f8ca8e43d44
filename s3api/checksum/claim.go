package checksum

import (
	"bytes"
	"net/http"
	"strings"

	"ironman/wal/event"
)

// Claim is what the completion of an upload says the whole object's checksum is.
type Claim struct {
	algorithm event.ChecksumAlgorithm // NONE: nothing
	value     []byte
	parts     int    // 0: not said
	kind      string // x-amz-checksum-type; empty: not said
}

// ExpectObject reads x-amz-checksum-* and x-amz-checksum-type of the completion of an
// upload: they speak of the object, not of the document in the body. A composite
// checksum may be followed by "-" and the number of parts. The error is an *Error.
func ExpectObject(h http.Header) (*Claim, error) {
	c := &Claim{}
	if values, ok := h["X-Amz-Checksum-Type"]; ok {
		if c.kind = strings.ToUpper(strings.Join(values, ",")); c.kind != compositeType && c.kind != fullObjectType {
			return nil, errType()
		}
	}
	a, text, err := claimed(h)
	if err != nil || a == none {
		return c, err
	}
	var ok bool
	c.algorithm = a
	if c.value, c.parts, ok = ParseText(a, text); !ok {
		return nil, errValue(a)
	}
	return c, nil
}

// CheckType compares the type with that of the upload.
func (c *Claim) CheckType(composite bool) error {
	kind := fullObjectType
	if composite {
		kind = compositeType
	}
	if c.kind != "" && c.kind != kind {
		return invalid("The upload was created using the " + kind + " checksum mode. The complete request must use the same checksum mode.")
	}
	return nil
}

// Speaks reports whether the claim is of a checksum of that algorithm.
func (c *Claim) Speaks(a event.ChecksumAlgorithm) bool { return c.algorithm == a && a != none }

// Check compares the claim, if there is one, with the checksum of an object of that
// many parts. A claim of another algorithm does not hold: nobody can have compared it.
func (c *Claim) Check(sum *event.Checksum, parts int) error {
	if c.algorithm == none {
		return nil
	}
	if c.algorithm != sum.GetAlgorithm() || !bytes.Equal(c.value, sum.GetValue()) || c.parts != 0 && (c.parts != parts || !sum.GetComposite()) {
		return &Error{CodeBadDigest, "The " + Name(c.algorithm) + " you specified did not match the calculated checksum."}
	}
	return nil
}
