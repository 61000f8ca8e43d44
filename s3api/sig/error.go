package sig

import (
	"slices"
	"strconv"
	"time"
)

// Codes of the refusals of this package, as in Amazon's list of S3 error codes.
const (
	CodeAccessDenied                      = "AccessDenied"
	CodeAuthorizationHeaderMalformed      = "AuthorizationHeaderMalformed"
	CodeAuthorizationQueryParametersError = "AuthorizationQueryParametersError"
	CodeEntityTooLarge                    = "EntityTooLarge"
	CodeIncompleteBody                    = "IncompleteBody"
	CodeInvalidAccessKeyID                = "InvalidAccessKeyId"
	CodeInvalidArgument                   = "InvalidArgument"
	CodeInvalidChunkSize                  = "InvalidChunkSizeError"
	CodeInvalidPolicyDocument             = "InvalidPolicyDocument"
	CodeInvalidRequest                    = "InvalidRequest"
	CodeInvalidURI                        = "InvalidURI"
	CodeMalformedTrailer                  = "MalformedTrailerError"
	CodeMissingContentLength              = "MissingContentLength"
	CodeNotImplemented                    = "NotImplemented"
	CodeRequestTimeTooSkewed              = "RequestTimeTooSkewed"
	CodeSignatureDoesNotMatch             = "SignatureDoesNotMatch"
	CodeXAmzContentSHA256Mismatch         = "XAmzContentSHA256Mismatch"

	// Not made here: for a Lookup to return of a session token.
	CodeExpiredToken = "ExpiredToken"
	CodeInvalidToken = "InvalidToken"
)

// Codes returns every code an *Error can carry, sorted: a caller that maps codes
// to statuses tests its table against it.
func Codes() []string {
	c := []string{
		CodeAccessDenied, CodeAuthorizationHeaderMalformed, CodeAuthorizationQueryParametersError,
		CodeEntityTooLarge, CodeExpiredToken, CodeIncompleteBody, CodeInvalidAccessKeyID,
		CodeInvalidArgument, CodeInvalidChunkSize, CodeInvalidPolicyDocument, CodeInvalidRequest, CodeInvalidToken,
		CodeInvalidURI, CodeMalformedTrailer, CodeMissingContentLength, CodeNotImplemented,
		CodeRequestTimeTooSkewed, CodeSignatureDoesNotMatch, CodeXAmzContentSHA256Mismatch,
	}
	slices.Sort(c)
	return c
}

// Error is a refusal as the client is to see it. Its text holds nothing secret, but
// may hold what the client sent: escape it.
type Error struct {
	Code    string
	Message string
	// Detail is what Amazon adds to this error's XML, in order.
	Detail []Detail
}

// Detail is one element of an error's XML.
type Detail struct{ Name, Value string }

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is reports whether target is an *Error of the same code and, where target has
// one, the same message.
func (e *Error) Is(target error) bool {
	o, ok := target.(*Error)
	return ok && o.Code == e.Code && (o.Message == "" || o.Message == e.Message)
}

func refuse(code, message string, detail ...Detail) *Error {
	return &Error{Code: code, Message: message, Detail: detail}
}

func errTwoMechanisms() *Error {
	return refuse(CodeInvalidArgument, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "+
		"Signature query string parameter or the Authorization header should be specified",
		Detail{"ArgumentName", "Authorization"})
}

func errRepeated(name string) *Error {
	return refuse(CodeInvalidArgument, name+" must be given once.", Detail{"ArgumentName", name})
}

func errUnknownKey(accessKey string) *Error {
	return refuse(CodeInvalidAccessKeyID, "The AWS Access Key Id you provided does not exist in our records.",
		Detail{"AWSAccessKeyId", accessKey})
}

const mismatch = "The request signature we calculated does not match the signature you provided. " +
	"Check your key and signing method."

// errChunk is of the signature of a chunk or trailer.
func errChunk() *Error { return refuse(CodeSignatureDoesNotMatch, mismatch) }

// errMismatch holds the string to sign of Version 4, which is of hashes only. The
// canonical request and the string of Version 2 would hold session tokens and
// encryption keys, so no error holds them.
func errMismatch(accessKey, stringToSign string) *Error {
	e := refuse(CodeSignatureDoesNotMatch, mismatch, Detail{"AWSAccessKeyId", accessKey})
	if stringToSign != "" {
		e.Detail = append(e.Detail, Detail{"StringToSign", stringToSign})
	}
	return e
}

func errNotSigned(names string) *Error {
	return refuse(CodeAccessDenied, "There were headers present in the request which were not signed",
		Detail{"HeadersNotSigned", names})
}

func errNoDate() *Error {
	return refuse(CodeAccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
}

func errSkewed(request string, now time.Time) *Error {
	return refuse(CodeRequestTimeTooSkewed, "The difference between the request time and the current time is too large.",
		Detail{"RequestTime", request},
		Detail{"ServerTime", now.UTC().Format(time.RFC3339)},
		Detail{"MaxAllowedSkewMilliseconds", strconv.FormatInt(MaxSkew.Milliseconds(), 10)})
}

func errExpired(expires, now time.Time) *Error {
	return refuse(CodeAccessDenied, "Request has expired",
		Detail{"Expires", expires.UTC().Format(time.RFC3339)},
		Detail{"ServerTime", now.UTC().Format(time.RFC3339)})
}

func errTruncated() *Error {
	return refuse(CodeIncompleteBody, "The request body terminated unexpectedly")
}

func errLength() *Error {
	return refuse(CodeIncompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header")
}

func errNoLength() *Error {
	return refuse(CodeMissingContentLength, "You must provide the Content-Length HTTP header.")
}

func errTrailer() *Error {
	return refuse(CodeMalformedTrailer, "The request contained trailing data that was not well-formed or did not "+
		"conform to our published schema.")
}

func errPayloadHash(claimed, computed string) *Error {
	return refuse(CodeXAmzContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.",
		Detail{"ClientComputedContentSHA256", claimed}, Detail{"S3ComputedContentSHA256", computed})
}
