package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"ironman/wal/event"
)

// A request from one node to another, and the answer to it:
//
//	+---------+------+------+      +---------+--------+------+
//	| version | kind | body |      | version | status | body |
//	| 1 byte  | 1    | n    |      | 1 byte  | 1      | n    |
//	+---------+------+------+      +---------+--------+------+
//
// The bodies, with the length of each field in bytes (numbers are big-endian):
//
//	kind      body of the request          body of an answer that it is done
//	propose   marshalled proposal          point 24, seq 8, duplicate 1, outcome n
//	point     term of the one who asks 8   point 24
//	status                                 term 8, applied 8
//	add       the member's ID              none
//	remove    the member's ID              none
//	records   see backfill_format.go       see there
//	entry     index 8                      see mend_format.go
//
// A point is applied 8, term 8, index 8. The body of any other answer is a text
// that says why, for people.
const (
	messageVersion = 1
	messageHeader  = 2
	pointBytes     = 3 * 8

	maxRequestBody = event.MaxProposalBytes
	maxAnswerBody  = event.MaxProposalBytes + 64 // an entry, which is more than an outcome
	maxIDBytes     = 64
	maxTextBytes   = 1024
)

// Kinds of requests. Append only.
const (
	kindPropose byte = 1 + iota // have the proposal committed, as the leader
	kindPoint                   // tell the linearizable point of a read, as the leader
	kindStatus                  // tell your term, and what your state machine has applied
	kindAdd                     // make the node a member, as the leader
	kindRemove                  // make the node a member no more, as the leader
	kindRecords                 // give records of your ledger
	kindEntry                   // give a committed entry of your log
	kindEnd
)

// Statuses of answers. Append only.
const (
	statusDone byte = iota
	statusNotDone
	statusUnknown
	statusOverloaded
	statusRefused
	statusEnd
)

// request is what one node asks of another.
type request struct {
	kind byte
	body []byte
}

func (r request) encode() []byte {
	return append(append(make([]byte, 0, messageHeader+len(r.body)), messageVersion, r.kind), r.body...)
}

// decodeRequest is strict. The error is event.ErrNewer for a version or kind that
// this release does not know, else event.ErrMalformed. The body aliases b.
func decodeRequest(b []byte) (request, error) {
	kind, body, err := cutMessage(b, "request")
	if err != nil {
		return request{}, err
	}
	if kind >= kindEnd {
		return request{}, fmt.Errorf("request of kind %d: %w", kind, event.ErrNewer)
	}
	ok := false
	switch kind {
	case kindPropose:
		ok = len(body) > 0 && len(body) <= maxRequestBody
	case kindPoint, kindEntry:
		ok = len(body) == 8
	case kindStatus:
		ok = len(body) == 0
	case kindAdd, kindRemove:
		ok = validID(string(body))
	case kindRecords:
		ok = len(body) > 0 && len(body) <= maxIDBytes // answerRecords knows more
	}
	if !ok {
		return request{}, fmt.Errorf("request of kind %d with %d bytes: %w", kind, len(body), event.ErrMalformed)
	}
	return request{kind: kind, body: body}, nil
}

func cutMessage(b []byte, what string) (second byte, body []byte, err error) {
	switch {
	case len(b) < messageHeader || b[0] == 0:
		return 0, nil, fmt.Errorf("%s of %d bytes: %w", what, len(b), event.ErrMalformed)
	case b[0] > messageVersion:
		return 0, nil, fmt.Errorf("%s of version %d: %w", what, b[0], event.ErrNewer)
	}
	return b[1], b[messageHeader:], nil
}

// validID tells whether a node may be called so: printable ASCII without spaces.
func validID(id string) bool {
	bad := func(r rune) bool { return r <= ' ' || r > '~' }
	return len(id) > 0 && len(id) <= maxIDBytes && !strings.ContainsFunc(id, bad)
}

// answer is what came of a request.
type answer struct {
	status byte
	body   []byte
}

func (a answer) encode() []byte {
	return append(append(make([]byte, 0, messageHeader+len(a.body)), messageVersion, a.status), a.body...)
}

// answerOf tells the one who asked what came of it.
func answerOf(body []byte, err error) answer {
	a := answer{status: statusUnknown}
	switch {
	case err == nil:
		return answer{status: statusDone, body: body}
	case errors.Is(err, ErrUnknown):
	case errors.Is(err, ErrOverloaded):
		a.status = statusOverloaded
	case errors.Is(err, ErrRefused), errors.Is(err, event.ErrNewer):
		a.status = statusRefused
	case errors.Is(err, ErrNotDone), errors.Is(err, ErrNoLeader):
		a.status = statusNotDone
	}
	text := strings.ToValidUTF8(err.Error(), "?")
	for len(text) > maxTextBytes {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	a.body = []byte(text)
	return a
}

// decodeAnswer is strict about the envelope; the body of what is done is for the
// one who asked to decode. The body aliases b.
func decodeAnswer(b []byte) (answer, error) {
	status, body, err := cutMessage(b, "answer")
	switch {
	case err != nil:
		return answer{}, err
	case status >= statusEnd:
		return answer{}, fmt.Errorf("answer of status %d: %w", status, event.ErrNewer)
	case status == statusDone && len(body) > maxAnswerBody,
		status != statusDone && (len(body) > maxTextBytes || !utf8.Valid(body)):
		return answer{}, fmt.Errorf("answer of status %d with %d bytes: %w", status, len(body), event.ErrMalformed)
	}
	return answer{status: status, body: body}, nil
}

// err is what an answer means to the one who asked.
func (a answer) err() error {
	switch a.status {
	case statusDone:
		return nil
	case statusNotDone:
		return fmt.Errorf("%w: %s", ErrNotDone, a.body)
	case statusOverloaded:
		return fmt.Errorf("%w: %w: %s", ErrNotDone, ErrOverloaded, a.body)
	case statusRefused:
		return fmt.Errorf("%w: %w: %s", ErrNotDone, ErrRefused, a.body)
	default:
		return fmt.Errorf("%w: %s", ErrUnknown, a.body)
	}
}

func appendPoint(b []byte, p point) []byte {
	for _, v := range []uint64{p.applied, p.term, p.index} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func decodePoint(b []byte) (point, error) {
	if len(b) != pointBytes {
		return point{}, fmt.Errorf("point of %d bytes: %w", len(b), event.ErrMalformed)
	}
	u := binary.BigEndian.Uint64
	return point{applied: u(b), term: u(b[8:]), index: u(b[16:])}, nil
}

// stamped is a proposal that was committed and applied, and where.
type stamped struct {
	applied Applied
	at      point
}

func (s stamped) encode() []byte {
	b := appendPoint(nil, s.at)
	b = binary.BigEndian.AppendUint64(b, s.applied.Seq)
	duplicate := byte(0)
	if s.applied.Duplicate {
		duplicate = 1
	}
	return event.AppendCanonical(append(b, duplicate), s.applied.Outcome)
}

func decodeStamped(b []byte) (stamped, error) {
	if len(b) < pointBytes+9 || b[pointBytes+8] > 1 {
		return stamped{}, fmt.Errorf("answer to a proposal of %d bytes: %w", len(b), event.ErrMalformed)
	}
	at, err := decodePoint(b[:pointBytes])
	if err != nil {
		return stamped{}, err
	}
	s := stamped{at: at, applied: Applied{
		Seq: binary.BigEndian.Uint64(b[pointBytes:]), Duplicate: b[pointBytes+8] == 1, Outcome: &event.Outcome{},
	}}
	return s, event.Decode(b[pointBytes+9:], s.applied.Outcome)
}

// nodeStatus is what a node says of itself.
type nodeStatus struct {
	term    uint64 // it has not voted, and will not vote, in any older one
	applied uint64 // index of the last entry that its state machine has applied
}

func (s nodeStatus) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.term), s.applied)
}

func decodeStatus(b []byte) (nodeStatus, error) {
	if len(b) != 16 {
		return nodeStatus{}, fmt.Errorf("status of %d bytes: %w", len(b), event.ErrMalformed)
	}
	return nodeStatus{term: binary.BigEndian.Uint64(b), applied: binary.BigEndian.Uint64(b[8:])}, nil
}
