package s3api

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
)

func itoa(n int) string { return strconv.Itoa(n) }

// maxDigits is how long a number of the query may be. Conditions of policies know no
// numbers of more than 40 characters: whoever is bound by one must not meet it by zeros.
const maxDigits = 20

// intQuery reads a number of the query that is clamped to max; absent it is def.
func (r *Request) intQuery(name string, def, min, max int) (int, error) {
	text := r.Query.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err == nil && len(text) > maxDigits {
		err = strconv.ErrSyntax
	}
	if err != nil {
		if errors.Is(err, strconv.ErrRange) && text[0] != '-' {
			return 0, s3err.Newf("InvalidArgument", "Argument %s must be an integer between 0 and 2147483647", name).
				With("ArgumentName", name).With("ArgumentValue", text)
		}
		return 0, s3err.Newf("InvalidArgument", "Provided %s not an integer or within integer range", name).
			With("ArgumentName", name).With("ArgumentValue", text)
	}
	if int(n) < min {
		return 0, s3err.Newf("InvalidArgument", "Argument %s must be an integer between %d and 2147483647", name, min).
			With("ArgumentName", name).With("ArgumentValue", text)
	}
	if int(n) > max {
		return max, nil
	}
	return int(n), nil
}

// encodingType reads the encoding-type of a listing.
func (r *Request) encodingType() (string, error) {
	switch t := r.Query.Get("encoding-type"); t {
	case "", s3xml.EncodingURL:
		return t, nil
	default:
		return "", s3err.Newf("InvalidArgument", "Invalid Encoding Method specified in Request").
			With("ArgumentName", "encoding-type").With("ArgumentValue", t)
	}
}

// textQuery reads a parameter that must be text.
func (r *Request) textQuery(name string) (string, error) {
	text := r.Query.Get(name)
	if !utf8.ValidString(text) {
		return "", s3err.Newf("InvalidArgument", "Invalid %s", name).With("ArgumentName", name)
	}
	return text, nil
}

// A continuation token is opaque to clients: base64url of a version byte and the
// last key or common prefix of the page.
const tokenVersion = 1

func encodeToken(last string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{tokenVersion}, last...))
}

func decodeToken(token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 1 || b[0] != tokenVersion || len(b) > 1+2*maxKeyBytes {
		return "", s3err.Newf("InvalidArgument", "The continuation token provided is incorrect").
			With("ArgumentName", "continuation-token")
	}
	return string(b[1:]), nil
}

// readDocument reads a request's document to its end: the checks of signature and
// checksum come last.
func (r *Request) readDocument(limit int) ([]byte, error) {
	body, err := r.openBody(sums{})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, s3err.New("MaxMessageLengthExceeded").With("MaxMessageLengthBytes", itoa(limit))
	}
	return b, nil
}

// decodeXML reads the request's document of at most limit bytes into v.
func (r *Request) decodeXML(limit int, v any) error {
	b, err := r.readDocument(limit)
	if err != nil {
		return err
	}
	return s3xml.Decode(bytes.NewReader(b), int64(limit), v)
}
