package segment

import (
	"errors"
	"fmt"
	"strings"
)

// What can go wrong. Test with errors.Is.
var (
	// ErrCorrupt: acknowledged bytes are damaged or missing. Nothing on disk was changed.
	ErrCorrupt = errors.New("the log is damaged")
	// ErrNewer: the files were written by a newer release.
	ErrNewer = errors.New("newer than this release understands")
	// ErrNotFound: the log does not hold the entry.
	ErrNotFound = errors.New("the log does not hold this entry")
	// ErrTooLarge: more than an entry, or a slot, can hold.
	ErrTooLarge = errors.New("too large for the log")
	// ErrRange: a truncation that the log cannot make.
	ErrRange = errors.New("not a range of the log")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("the log is closed")
	// ErrFailed: an earlier write failed; the log does nothing any more.
	ErrFailed = errors.New("the log stopped at a failed write")
)

// plain is the text of an error without ErrCorrupt's own.
func plain(err error) string {
	if err == nil {
		return "whole"
	}
	return strings.TrimPrefix(err.Error(), ErrCorrupt.Error()+": ")
}

// corrupt is an ErrCorrupt that tells a person on call what was found and what to do.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s; nothing was changed on disk: do not delete or truncate anything, "+
		"restore this disk or let the node rejoin under a new identity", ErrCorrupt, fmt.Sprintf(format, args...))
}
