package checksum

import "slices"

// Codes of the refusals of this package, as in Amazon's list of S3 error codes.
const (
	CodeBadDigest        = "BadDigest"
	CodeInvalidDigest    = "InvalidDigest"
	CodeInvalidRequest   = "InvalidRequest"
	CodeMalformedTrailer = "MalformedTrailerError"
)

// Codes returns every code an *Error can carry, sorted.
func Codes() []string {
	c := []string{CodeBadDigest, CodeInvalidDigest, CodeInvalidRequest, CodeMalformedTrailer}
	slices.Sort(c)
	return c
}

// Error is a refusal as the client is to see it.
type Error struct{ Code, Message string }

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is reports whether target is an *Error of the same code and, where target has
// one, the same message.
func (e *Error) Is(target error) bool {
	o, ok := target.(*Error)
	return ok && o.Code == e.Code && (o.Message == "" || o.Message == e.Message)
}

func invalid(message string) *Error { return &Error{Code: CodeInvalidRequest, Message: message} }
