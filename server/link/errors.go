package link

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// How a call or a stream can fail. Test with errors.Is.
var (
	// ErrUnreachable: nothing of the request left this node; it was surely not done.
	ErrUnreachable = errors.New("cannot be reached")
	// ErrLost: the request left, at least in part, and no answer came. Whether it was
	// done is not known.
	ErrLost = errors.New("did not answer")
	// ErrTooLarge: the request is larger than the link carries; nothing was sent.
	ErrTooLarge = errors.New("link: too large")
	// ErrClosed: this node's link is closed.
	ErrClosed = errors.New("the link is closed")
	// ErrNewer: the other side speaks a newer version of the link.
	ErrNewer = errors.New("link: the other node's version is newer than I am")
	// ErrNotProven: the node that was asked to let this one join did not prove that
	// it knows the join secret. It may be an impostor; it learnt nothing.
	ErrNotProven = errors.New("link: the node at this address did not prove that it knows the join secret")
)

var (
	errMalformed = errors.New("link: the other side does not keep to the protocol")
	errSilent    = errors.New("nothing was heard for too long")
	errEnded     = errors.New("the connection ended")
	errReplaced  = errors.New("the other node made a new connection")
	errRestarted = errors.New("the other node has started anew")
	errFlood     = errors.New("the other node does not read")
	errDeaf      = errors.New("link: the other side has closed the stream")
	// errGone: the session had ended before the request was queued.
	errGone = errors.New("the connection has ended")
)

// Code says why another node refused, for programs. Codes are stable for ever.
// Those from FirstCode on belong to the users of the link.
type Code uint16

// Codes of the link itself. New ones are added at the end.
const (
	CodeFailed       Code = 1 + iota // nothing but the text is known
	CodeNoMethod                     // the other node does not know the method
	CodeCancelled                    // the caller gave up, or its deadline passed
	CodeMalformed                    // the other side says that this one broke the protocol
	CodeNewer                        // the other side does not know this one's version
	CodeNotMember                    // no member has this number and key
	CodeOtherCluster                 // the node belongs to another cluster
	CodeStale                        // a newer start of the node is known
	CodeClone                        // another start with the same boot counter is known
	CodeBusy                         // try again later
	CodeSecret                       // the join secret is another one
	CodeNoJoin                       // nobody may join
	CodeClosing                      // the other node is stopping

	FirstCode Code = 64
)

// Error is what another node answered instead of a result, or why it, or this
// node, refused a connection. A CallFunc returns one to choose its code.
type Error struct {
	Node uint32 // that answered; 0 if it has no number yet
	Code Code
	Text string
}

func (e *Error) Error() string {
	if e.Node == 0 {
		return e.Text
	}
	return fmt.Sprintf("node %d: %s", e.Node, e.Text)
}

// maxText is the length of the longest text of an Error that is sent.
const maxText = 1024

// asError puts err into the form in which it travels.
func asError(err error) *Error {
	e := &Error{Code: CodeFailed}
	var own *Error
	switch {
	case errors.As(err, &own):
		e.Code, e.Text = own.Code, err.Error()
		if err == error(own) {
			e.Text = own.Text
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Code = CodeCancelled
		e.Text = err.Error()
	case err != nil:
		e.Text = err.Error()
	}
	e.Text = strings.ToValidUTF8(e.Text, "?")
	if len(e.Text) > maxText {
		cut := maxText
		for !utf8.RuneStart(e.Text[cut]) {
			cut--
		}
		e.Text = e.Text[:cut]
	}
	return e
}

// failure is an ErrUnreachable or ErrLost, with its reason.
type failure struct {
	kind  error
	node  uint32
	cause error
}

func (f *failure) Error() string   { return fmt.Sprintf("node %d %v: %v", f.node, f.kind, f.cause) }
func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }

func unreachable(node uint32, cause error) error { return &failure{ErrUnreachable, node, cause} }
func lost(node uint32, cause error) error        { return &failure{ErrLost, node, cause} }

// timeoutError is what a stream returns after its deadline, as every net.Conn does.
type timeoutError struct{}

func (timeoutError) Error() string   { return "link: i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// Is makes it equal to the timeouts of package os and package context, which are
// compared by identity elsewhere.
func (timeoutError) Is(target error) bool {
	t, ok := target.(interface{ Timeout() bool })
	return ok && t.Timeout()
}
