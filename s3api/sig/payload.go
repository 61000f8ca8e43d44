package sig

import (
	"encoding/hex"
	"math"
	"net/http"
	"strconv"
	"strings"

	"ironman/wal/digest"
)

// MaxBody is the longest body of one request, in bytes, without framing.
const MaxBody = 5 << 30

// Values of x-amz-content-sha256.
const (
	unsignedPayload       = "UNSIGNED-PAYLOAD"
	streamSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamECDSA           = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
	streamECDSATrailer    = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"
)

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const (
	headerContentSHA256 = "X-Amz-Content-Sha256"
	headerDecodedLength = "X-Amz-Decoded-Content-Length"
	headerTrailer       = "X-Amz-Trailer"
	headerToken         = "X-Amz-Security-Token"
	chunkedEncoding     = "aws-chunked"
)

// parsePayload reads a value of x-amz-content-sha256.
func parsePayload(value string) (kind PayloadKind, hash digest.Sum, err error) {
	switch value {
	case unsignedPayload:
		return PayloadUnsigned, hash, nil
	case streamSigned:
		return PayloadStreamSigned, hash, nil
	case streamSignedTrailer:
		return PayloadStreamSignedTrailer, hash, nil
	case streamUnsignedTrailer:
		return PayloadStreamUnsignedTrailer, hash, nil
	case streamECDSA, streamECDSATrailer:
		return 0, hash, refuse(CodeNotImplemented, "A header you provided implies functionality that is not implemented.",
			Detail{"Header", "x-amz-content-sha256"})
	}
	if len(value) == hex.EncodedLen(len(hash)) {
		if _, err := hex.Decode(hash[:], []byte(value)); err == nil {
			return PayloadHashed, hash, nil
		}
	}
	return 0, hash, refuse(CodeInvalidArgument, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "+
		"STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "+
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, "+
		"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
		Detail{"ArgumentName", "x-amz-content-sha256"})
}

// single returns the value of a header that must not be repeated.
func single(h http.Header, name string) (value string, ok bool, err error) {
	switch v := h[name]; len(v) {
	case 0:
		return "", false, nil
	case 1:
		return v[0], true, nil
	default:
		return "", false, errRepeated(strings.ToLower(name))
	}
}

// setPayload takes the payload of a request that is not Version 4 signed in its
// header from what it declares. Such a request has no chain for chunk signatures.
func (id *Identity) setPayload(h http.Header) error {
	value, ok, err := single(h, headerContentSHA256)
	if err != nil {
		return err
	}
	if !ok {
		// SDKs that do not sign send aws-chunked bodies without x-amz-content-sha256. One
		// that does not say its length is refused: its framing is not the object's.
		if hasChunkedEncoding(h) {
			id.Payload = PayloadStreamUnsignedTrailer
		}
		return nil
	}
	id.Payload, id.hash, err = parsePayload(value)
	if err != nil {
		return err
	}
	if id.Payload == PayloadStreamSigned || id.Payload == PayloadStreamSignedTrailer {
		who := "Anonymous requests don't"
		if id.Form != FormAnonymous {
			who = "Requests with signature version 2 don't"
		}
		return refuse(CodeInvalidRequest, who+" support this x-amz-content-sha256 value. "+
			"Please use UNSIGNED-PAYLOAD or STREAMING-UNSIGNED-PAYLOAD-TRAILER.")
	}
	return nil
}

// ContentSHA256 is the value of the policy condition key s3:x-amz-content-sha256: how the
// body is protected, whether a header said so or, as of a presigned request, none did.
func (id *Identity) ContentSHA256() string {
	if id.Payload == PayloadHashed {
		return hex.EncodeToString(id.hash[:])
	}
	return id.Payload.String()
}

// setFraming takes length and trailer of the body from the headers, and refuses a
// body that cannot become what was declared.
func (id *Identity) setFraming(r *http.Request) error {
	id.DecodedLength = r.ContentLength
	if id.Payload.Streaming() {
		n, err := decodedLength(r.Header)
		if err != nil {
			return err
		}
		id.DecodedLength = n
		if id.trailer, err = declaredTrailer(r.Header, id.Payload); err != nil {
			return err
		}
	} else if len(r.Header[headerTrailer]) > 0 {
		return errTrailerHeader() // nothing would ever be compared with it
	}
	if id.DecodedLength > MaxBody {
		return refuse(CodeEntityTooLarge, "Your proposed upload exceeds the maximum allowed size",
			Detail{"ProposedSize", strconv.FormatInt(id.DecodedLength, 10)},
			Detail{"MaxSizeAllowed", strconv.FormatInt(MaxBody, 10)})
	}
	if id.Payload == PayloadHashed && r.ContentLength == 0 {
		// There is no body, so whoever handles the request will read none.
		if claimed := hex.EncodeToString(id.hash[:]); claimed != emptySHA256 {
			return errPayloadHash(claimed, emptySHA256)
		}
	}
	return nil
}

// decodedLength reads x-amz-decoded-content-length: digits only.
func decodedLength(h http.Header) (int64, error) {
	value, ok, err := single(h, headerDecodedLength)
	if err != nil {
		return 0, err
	}
	if !ok || value == "" || strings.Trim(value, "0123456789") != "" {
		return 0, errNoLength()
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil { // only its range is left to be wrong
		return math.MaxInt64, nil
	}
	return n, nil
}

// declaredTrailer reads x-amz-trailer: the name of one checksum, in lower case.
func declaredTrailer(h http.Header, kind PayloadKind) (string, error) {
	values := h[headerTrailer]
	if kind == PayloadStreamSigned && len(values) > 0 {
		return "", errTrailerHeader() // this form has none
	}
	if len(values) == 0 {
		if kind == PayloadStreamSignedTrailer {
			return "", errTrailer()
		}
		return "", nil
	}
	name := strings.ToLower(strings.TrimSpace(values[0]))
	if len(values) > 1 || !isChecksumHeader(name) {
		return "", errTrailerHeader()
	}
	return name, nil
}

func errTrailerHeader() *Error {
	return refuse(CodeInvalidRequest, "The value specified in the x-amz-trailer header is not supported")
}

func isChecksumHeader(name string) bool {
	switch name {
	case "x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme",
		"x-amz-checksum-sha1", "x-amz-checksum-sha256":
		return true
	}
	return false
}

func hasChunkedEncoding(h http.Header) bool {
	for _, v := range h["Content-Encoding"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), chunkedEncoding) {
				return true
			}
		}
	}
	return false
}

// ContentEncoding returns the Content-Encoding of an object: what the header says
// without aws-chunked, which is of the transfer. Empty: none.
func ContentEncoding(h http.Header) string {
	values := h["Content-Encoding"]
	if len(values) == 0 {
		return ""
	}
	if !hasChunkedEncoding(h) {
		return strings.Join(values, ",")
	}
	var kept []string
	for _, v := range values {
		for token := range strings.SplitSeq(v, ",") {
			if t := strings.TrimSpace(token); t != "" && !strings.EqualFold(t, chunkedEncoding) {
				kept = append(kept, t)
			}
		}
	}
	return strings.Join(kept, ",")
}
