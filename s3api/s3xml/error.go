package s3xml

// Error is why a request document was refused. It tells the client only its code
// and Amazon's text; Detail is for the log.
type Error struct {
	Code    string
	Message string
	// Detail says what was wrong and where. It may quote the document.
	Detail string
}

// Error describes e for a log.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Detail
}

// S3Code gives the error code and message of Amazon's error responses.
func (e *Error) S3Code() (code, message string) { return e.Code, e.Message }

// ErrEmpty is what Decode answers to a body without a single byte. Whether that
// is an error is the operation's to say.
var ErrEmpty error = &Error{Code: "MissingRequestBodyError", Message: "Request Body is empty"}

// malformed is a document that is not well-formed or not of our schema.
func malformed(detail string) error {
	return &Error{
		Code:    "MalformedXML",
		Message: "The XML you provided was not well-formed or did not validate against our published schema",
		Detail:  detail,
	}
}

func tooLong() error {
	return &Error{Code: "MaxMessageLengthExceeded", Message: "Your request was too big."}
}
