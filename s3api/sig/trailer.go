package sig

import (
	"bytes"
	"net/http"
	"strings"
)

const (
	trailerSignature = "x-amz-trailer-signature"
	// maxTrailerLine bounds a line of the trailer: the longest name and the longest
	// value of a checksum are far below it.
	maxTrailerLine = 256
)

// readTrailer reads from behind the header of the empty chunk to the end of the
// framing. Exactly what was declared must be there.
func (c *chunks) readTrailer() error {
	name, value, err := c.field()
	if err != nil {
		return err
	}
	if c.declared == "" {
		if name == "" {
			return nil
		}
		return errTrailer()
	}
	if name != c.declared || value == "" {
		return errTrailer()
	}
	if c.chain != nil { // a signed stream that declares a trailer signs it
		name, claimed, err := c.field()
		if err != nil {
			return err
		}
		if name != trailerSignature {
			return errTrailer()
		}
		c.chain.data.Write([]byte(c.declared + ":" + value + "\n"))
		if !matches(c.chain.trailer(), []byte(claimed)) {
			return errChunk()
		}
	}
	switch name, _, err := c.field(); {
	case err != nil:
		return err
	case name != "":
		return errTrailer()
	}
	c.body.trailer = http.Header{http.CanonicalHeaderKey(c.declared): {value}}
	return nil
}

// field reads name:value, with the name in lower case; both are empty for the empty
// line that ends the framing. Amazon's documents end the line of a trailer with
// "\n\r\n", its SDKs with "\r\n": either will do.
func (c *chunks) field() (name, value string, err error) {
	raw, err := c.until('\n', maxTrailerLine)
	if err != nil {
		return "", "", err
	}
	line, crlf := bytes.CutSuffix(raw, []byte("\r\n"))
	if crlf && len(line) == 0 {
		return "", "", nil
	}
	name, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
	if !crlf {
		if err := c.crlf(); err != nil {
			return "", "", err
		}
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if !ok || name == "" {
		return "", "", errTrailer()
	}
	return name, strings.TrimSpace(value), nil
}
