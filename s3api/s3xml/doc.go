// Package s3xml is the XML of S3: one Go type per document of Amazon's API
// reference, a strict decoder for what clients send, and appenders for what they
// are answered. It knows names, escaping and schema; it knows no HTTP, no errors
// beyond its own two codes, no store and no clock.
//
// Invariants:
//   - Decode accepts exactly the elements of the type it is given. Unknown and
//     repeated elements, DTDs, processing instructions, foreign namespaces, text
//     between elements, depth above MaxDepth and anything after the root are
//     MalformedXML; a body above the limit is MaxMessageLengthExceeded.
//   - Decode reads the body to its end before it looks at a byte of it, so that a
//     reader which verifies a digest at the end has had its say.
//   - What AppendXML writes is one element in the namespace Namespace, valid UTF-8
//     whatever the names and keys are. Types hold raw values: quoting of entity
//     tags, URL encoding of keys and formatting of times happen on the way out.
//
// Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/ (names), XML 1.0.
package s3xml

// Namespace is the XML namespace of every response, and of requests that name one.
const Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// Header is the declaration that begins every document.
const Header = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

const (
	// olderNamespace is what Amazon's reference once printed and some clients still send.
	olderNamespace = "http://doc.s3.amazonaws.com/2006-03-01"
	xsiNamespace   = "http://www.w3.org/2001/XMLSchema-instance"
)

// Limits of request bodies, in bytes, for Decode.
const (
	// MaxBody is enough for every request document but two.
	MaxBody = 1 << 20
	// MaxDeleteBody bounds DeleteObjects: 1,000 keys of 1,024 bytes, each of which may
	// be a reference of six, with version ids and conditions.
	MaxDeleteBody = 8 << 20
	// MaxCompleteBody bounds CompleteMultipartUpload: 10,000 parts, each with an
	// entity tag and every kind of checksum a client may repeat.
	MaxCompleteBody = 8 << 20
	// MaxDepth bounds the nesting of elements.
	MaxDepth = 32
)
