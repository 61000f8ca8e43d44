package checksum

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"ironman/wal/event"
)

// Expectation is what a client said its body's digests are.
type Expectation struct {
	// Algorithm of the checksum that the client sends; NONE: it sends none.
	Algorithm event.ChecksumAlgorithm

	md5     []byte // nil: no Content-MD5
	value   []byte // of the checksum; nil: it comes in the trailer
	trailer string // key of http.Header; empty: the value came in a header
}

// Expect reads Content-MD5, x-amz-checksum-*, x-amz-sdk-checksum-algorithm, and the
// name of the checksum declared to come in the trailer (empty: none). The error is an
// *Error.
func Expect(h http.Header, trailer string) (*Expectation, error) {
	e := &Expectation{}
	var err error
	if e.md5, err = contentMD5(h); err != nil {
		return nil, err
	}
	if err := e.header(h); err != nil {
		return nil, err
	}
	if trailer != "" {
		name := strings.ToLower(trailer)
		a, err := ParseAlgorithm(strings.TrimPrefix(name, checksumPrefix))
		if err != nil || !strings.HasPrefix(name, checksumPrefix) {
			return nil, invalid("The value specified in the x-amz-trailer header is not supported")
		}
		if e.Algorithm != none {
			return nil, errMultiple()
		}
		e.Algorithm, e.trailer = a, Header(a)
	}
	return e, e.sdkAlgorithm(h)
}

const checksumPrefix = "x-amz-checksum-"

func errMultiple() *Error {
	return invalid("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

func contentMD5(h http.Header) ([]byte, error) {
	values, ok := h["Content-Md5"]
	if !ok {
		return nil, nil
	}
	if len(values) == 1 && len(values[0]) == base64.StdEncoding.EncodedLen(16) {
		if sum, err := base64.StdEncoding.Strict().DecodeString(values[0]); err == nil && len(sum) == 16 {
			return sum, nil
		}
	}
	return nil, &Error{CodeInvalidDigest, "The Content-MD5 you specified was invalid."}
}

// header reads the one x-amz-checksum-* header that holds a value.
func (e *Expectation) header(h http.Header) error {
	a, text, err := claimed(h)
	if err != nil || a == none {
		return err
	}
	var ok bool
	if e.value, ok = decode(a, text); !ok {
		return errValue(a)
	}
	e.Algorithm = a
	return nil
}

// claimed finds the one x-amz-checksum-* header that holds a value. What is complained
// about does not depend on the order of the map.
func claimed(h http.Header) (a event.ChecksumAlgorithm, text string, err error) {
	found := 0
	for key, values := range h {
		if len(key) <= len(checksumPrefix) || !strings.EqualFold(key[:len(checksumPrefix)], checksumPrefix) {
			continue
		}
		switch key {
		case "X-Amz-Checksum-Algorithm", "X-Amz-Checksum-Type", "X-Amz-Checksum-Mode":
			continue
		}
		known, failed := ParseAlgorithm(key[len(checksumPrefix):])
		if failed != nil {
			return none, "", invalid("The algorithm type you specified in x-amz-checksum- header is invalid.")
		}
		if found += len(values); found > 1 {
			err = errMultiple()
		}
		if len(values) == 1 {
			a, text = known, values[0]
		}
	}
	return a, text, err
}

// errValue: what is no checksum at all does not match either.
func errValue(a event.ChecksumAlgorithm) *Error {
	return &Error{CodeBadDigest, "Value for " + strings.ToLower(Header(a)) + " header is invalid."}
}

// sdkAlgorithm judges x-amz-sdk-checksum-algorithm, which repeats what must be there.
func (e *Expectation) sdkAlgorithm(h http.Header) error {
	values, ok := h["X-Amz-Sdk-Checksum-Algorithm"]
	if !ok {
		return nil
	}
	a, err := ParseAlgorithm(strings.Join(values, ","))
	switch {
	case err != nil:
		return err
	case e.Algorithm == none:
		return invalid("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case a != e.Algorithm:
		return invalid("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return nil
}

// Required reports whether the client sent any digest at all: some operations demand
// one.
func (e *Expectation) Required() bool { return e.md5 != nil || e.Algorithm != none }

// Check compares the digests of the whole body with what the client said, in headers
// or in the trailer of the body. The error is an *Error, except where s lacks the
// checksum that was expected.
func (e *Expectation) Check(s Sums, trailer http.Header) error {
	if e.md5 != nil && !bytes.Equal(e.md5, s.MD5[:]) {
		return &Error{CodeBadDigest, "The Content-MD5 you specified did not match what we received."}
	}
	if e.Algorithm == none {
		return nil
	}
	if s.Checksum.GetAlgorithm() != e.Algorithm {
		return errors.New("checksum: the expected " + Name(e.Algorithm) + " was not computed")
	}
	claimed := e.value
	if e.trailer != "" {
		values := trailer[e.trailer]
		if len(values) != 1 {
			return &Error{CodeMalformedTrailer, "The request contained trailing data that was not well-formed or did not " +
				"conform to our published schema."}
		}
		var ok bool
		if claimed, ok = decode(e.Algorithm, values[0]); !ok {
			return invalid("Value for " + strings.ToLower(e.trailer) + " trailing header is invalid.")
		}
	}
	if !bytes.Equal(claimed, s.Checksum.GetValue()) {
		return &Error{CodeBadDigest, "The " + Name(e.Algorithm) + " you specified did not match the calculated checksum."}
	}
	return nil
}

// ExpectUpload reads x-amz-checksum-algorithm and x-amz-checksum-type of the creation
// of a multipart upload: the checksum its parts will have, and whether the object's is
// composite. NONE: the client chose nothing. The error is an *Error.
func ExpectUpload(h http.Header) (a event.ChecksumAlgorithm, composite bool, err error) {
	algorithm, kind := h["X-Amz-Checksum-Algorithm"], strings.ToUpper(strings.Join(h["X-Amz-Checksum-Type"], ","))
	_, typed := h["X-Amz-Checksum-Type"]
	if typed && kind != compositeType && kind != fullObjectType {
		return none, false, errType()
	}
	if len(algorithm) == 0 {
		if typed {
			return none, false, invalid("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return none, false, nil
	}
	if a, err = ParseAlgorithm(strings.Join(algorithm, ",")); err != nil {
		return none, false, err
	}
	composite = kind == compositeType || !typed && a != crc64nvme
	if composite && a == crc64nvme || !composite && !isCRC(a) {
		return none, false, invalid("The " + kind + " checksum type cannot be used with the " + strings.ToLower(Name(a)) + " checksum algorithm.")
	}
	return a, composite, nil
}

// The values of x-amz-checksum-type.
const (
	compositeType  = "COMPOSITE"
	fullObjectType = "FULL_OBJECT"
)

func errType() *Error { return invalid("Value for x-amz-checksum-type header is invalid.") }

func isCRC(a event.ChecksumAlgorithm) bool { return a == crc32 || a == crc32c || a == crc64nvme }
