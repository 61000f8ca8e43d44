package s3err

import (
	"context"
	"errors"
	"io"
)

// coder is an error of another package that knows its own code. An empty message
// means the table's. Its message is for clients; its Error() is not.
type coder interface {
	S3Code() (code, message string)
}

// From gives the client's view of any error; nil for nil. An *Error in the chain is
// given as it is, an error with S3Code() (code, message string) by that code, ends
// of connections and of time by theirs, and the rest is InternalError without a
// word of its text. What From was given stays the cause.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var c coder
	if errors.As(err, &c) {
		code, message := c.S3Code()
		e := New(code)
		if e.Code == code && message != "" {
			e.Message = message
		}
		return e.Because(err)
	}
	return New(general(err)).Because(err)
}

// general is the code of an error that no package of ours made. Order matters: a
// deadline of ours is also a timeout of its connection.
func general(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "ServiceUnavailable"
	case errors.Is(err, context.Canceled):
		return "RequestTimeout" // the client went away: nobody reads it but the log
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "IncompleteBody"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "RequestTimeout"
	}
	return "InternalError"
}
