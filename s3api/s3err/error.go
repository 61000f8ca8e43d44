package s3err

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Field is one element of an error document beside code and message.
type Field struct {
	Name, Value string
}

// Error is an error as a client sees it.
type Error struct {
	Code    string
	Message string
	// Status is the HTTP status, that of the table.
	Status int
	// Resource is the path of what was asked for; empty: that of the request.
	Resource string
	// Fields are further elements, in order.
	Fields []Field
	// RetryAfter is the header Retry-After in seconds; 0: none.
	RetryAfter int

	cause error
}

// New makes an error with the table's message.
func New(code string) *Error {
	row, ok := find(code)
	if !ok {
		row, _ = find("InternalError")
		return row.error(fmt.Errorf("s3err: no such code: %q", code))
	}
	return row.error(nil)
}

// Newf makes an error with a message of its own, written for the client to read.
func Newf(code, format string, args ...any) *Error {
	e := New(code)
	e.Message = fmt.Sprintf(format, args...)
	return e
}

func (r row) error(cause error) *Error {
	e := &Error{Code: r.code, Message: r.message, Status: r.status, cause: cause}
	if r.status == 503 {
		e.RetryAfter = 1
	}
	return e
}

// With returns a copy of e with one more field.
func (e *Error) With(name, value string) *Error {
	c := *e
	c.Fields = append(slices.Clip(c.Fields), Field{name, value})
	return &c
}

// WithInt returns a copy of e with one more field.
func (e *Error) WithInt(name string, value int64) *Error {
	return e.With(name, strconv.FormatInt(value, 10))
}

// Because returns a copy of e whose cause, for the log alone, is err.
func (e *Error) Because(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

// Error is code and message; the cause is not in it.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap gives what lay behind e, which no client is told.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether err is, or wraps, an *Error of that code.
func Is(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Known reports whether the table has the code. Tests of packages that answer with
// codes of their own ask it.
func Known(code string) bool {
	_, ok := find(code)
	return ok
}
