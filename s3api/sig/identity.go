package sig

import (
	"net/http"
	"time"

	"ironman/wal/digest"
)

// Form is how a request is signed.
type Form uint8

const (
	FormAnonymous Form = iota
	FormV4Header       // Version 4, Authorization header
	FormV4Query        // Version 4, presigned
	FormV2Header       // Version 2, Authorization header
	FormV2Query        // Version 2, presigned
	FormV4Post         // Version 4, the policy of an upload form
	FormV2Post         // Version 2, the policy of an upload form
)

// String returns a short name for logs.
func (f Form) String() string {
	switch f {
	case FormV4Header:
		return "v4-header"
	case FormV4Query:
		return "v4-presigned"
	case FormV2Header:
		return "v2-header"
	case FormV2Query:
		return "v2-presigned"
	case FormV4Post:
		return "v4-post"
	case FormV2Post:
		return "v2-post"
	default:
		return "anonymous"
	}
}

// AuthType is the value of the policy condition key s3:authType; empty: anonymous.
func (f Form) AuthType() string {
	switch f {
	case FormV4Header, FormV2Header:
		return "REST-HEADER"
	case FormV4Query, FormV2Query:
		return "REST-QUERY-STRING"
	case FormV4Post, FormV2Post:
		return "POST"
	default:
		return ""
	}
}

// SignatureVersion is the value of the policy condition key s3:signatureversion;
// empty: anonymous.
func (f Form) SignatureVersion() string {
	switch f {
	case FormV4Header, FormV4Query, FormV4Post:
		return algorithmV4
	case FormV2Header, FormV2Query, FormV2Post:
		return "AWS"
	default:
		return ""
	}
}

// PayloadKind is how the body of a request is framed and protected.
type PayloadKind uint8

const (
	PayloadUnsigned              PayloadKind = iota // as it is, nothing checked but its length
	PayloadHashed                                   // as it is, its SHA-256 signed
	PayloadStreamSigned                             // aws-chunked, each chunk signed
	PayloadStreamSignedTrailer                      // aws-chunked, each chunk and the trailer signed
	PayloadStreamUnsignedTrailer                    // aws-chunked, nothing signed, a trailer may follow
)

// Streaming reports whether the body is aws-chunked.
func (k PayloadKind) Streaming() bool { return k >= PayloadStreamSigned }

// String returns the x-amz-content-sha256 value that declares the kind;
// PayloadHashed has none of its own.
func (k PayloadKind) String() string {
	switch k {
	case PayloadUnsigned:
		return unsignedPayload
	case PayloadHashed:
		return "SHA256"
	case PayloadStreamSigned:
		return streamSigned
	case PayloadStreamSignedTrailer:
		return streamSignedTrailer
	default:
		return streamUnsignedTrailer
	}
}

// Scope is what a Version 4 signature is good for.
type Scope struct {
	Date    string // YYYYMMDD
	Region  string
	Service string
}

// Identity is a verified request: who signed it, how, and what its body must be.
// It is not changed after Verify, and is for one request.
type Identity struct {
	// AccessKey is the key that signed; empty: anonymous.
	AccessKey string
	Form      Form
	Payload   PayloadKind
	// DecodedLength is the length of the body without framing, in bytes; -1: the
	// client did not say.
	DecodedLength int64
	// SignedHeaders are the headers under a Version 4 signature: lower case, sorted.
	SignedHeaders []string
	// Scope is of a Version 4 signature, else zero.
	Scope Scope
	// Time is when the client says it signed; zero: anonymous and presigned Version 2.
	Time time.Time
	// Expires is when a presigned request ends, else zero.
	Expires time.Time
	// Hoisted are the parameters of a presigned query that stand for headers, under
	// their canonical header names: x-amz-*, and in Version 2 Content-MD5 and
	// Content-Type. The signature covers them. A header of the same name, where there
	// is one, is covered too.
	Hoisted http.Header

	hash   digest.Sum // of the body, for PayloadHashed
	chunks *chunkSeed // what verifies signed chunks
	// trailer is the name of the declared trailer, lower case; empty: none.
	trailer string
}

// chunkSeed is what the chain of chunk signatures starts from.
type chunkSeed struct {
	key       Secret // the signing key
	time      string // ISO 8601 basic
	scope     string // date/region/service/aws4_request
	signature string // of the request: 64 hexadecimal digits
}

// PayloadHash returns the SHA-256 that the body must have, where the client signed
// it. Body verifies it.
func (id *Identity) PayloadHash() (sum digest.Sum, ok bool) {
	return id.hash, id.Payload == PayloadHashed
}

// TrailerName returns the name of the checksum that the client declared to send
// after the body (x-amz-checksum-crc32, ...), in lower case; empty: none.
func (id *Identity) TrailerName() string { return id.trailer }
