package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// All numbers are big-endian; what is called 0 must be 0.
//
// A connection begins with messages: the side that dialed sends HELLO, the other
// answers HELLO or REFUSE. A message is a preamble, 16 bytes, and a body:
//
//	 0  magic "IMS3link"                           8
//	 8  version, 1                                 1   magic and version: the same place in every version
//	 9  kind of message                            1
//	10  0                                          2
//	12  bytes of the body                          4
//
// HELLO (1), 112 bytes:
//
//	 0  role: 1 control, 2 bulk, 3 join            1   the answer repeats it
//	 1  0                                          3
//	 4  node                                       4   0 if role is join
//	 8  boot counter                               8   0 if role is join
//	16  cluster id                                16   0 if role is join
//	32  nonce of this start of the node           16
//	48  nonce of this connection                  16
//	64  public key                                32
//	96  bytes of a stream that its receiver takes
//	    before it gives credit                     4
//	100 calls that are served at once              4
//	104 streams that may be open at once           4
//	108 0                                          4
//
// REFUSE (2): a reason, which is
//
//	0  code                                       2
//	2  text, UTF-8                           0-1024
//
// Between two HELLOs of role join follow PROOF (3), 32 bytes, from the joining
// side; PROOF or REFUSE from the other; JOIN (4), the request; JOINED (5), the
// answer, or REFUSE. Then the connection ends.
//
// Between two HELLOs of the other roles follow frames, until the connection ends.
// A frame is a header, 16 bytes, and a payload:
//
//	 0  kind of frame                              1
//	 1  method (CALL, OPEN), way (END), else 0     1
//	 2  0                                          2
//	 4  bytes of the payload                       4
//	 8  id of the call or stream; 0 in PING, PONG
//	    and BYE                                    8   counted by the side that dialed, never reused
//
//	kind       from       payload
//	 1 CALL    dialer     ns that remain to the deadline (8), the request
//	 2 CANCEL  dialer     -
//	 3 ANSWER  acceptor   the answer
//	 4 FAIL    acceptor   a reason
//	 5 OPEN    dialer     the head of the stream
//	 6 DATA    both       1 byte to 64 KiB of the stream
//	 7 END     both       -; way 1: nothing more will be sent; 2: nor will anything be read
//	 8 RESET   both       a reason
//	 9 CREDIT  both       bytes that the receiver takes in addition (4)
//	10 PING    both       number of the ping (8)
//	11 PONG    both       its number (8), ns since 1970 by the answering clock when the PING came (8)
//	                      and when the PONG was made (8)
//	12 BYE     both       a reason; the last frame
const (
	magic         = "IMS3link"
	version       = 1
	preambleBytes = 16
	helloBytes    = 112
	proofBytes    = 32
	headerBytes   = 16
	nonceBytes    = 16
	keyBytes      = 32
	reasonMin     = 2
	reasonMax     = reasonMin + maxText
)

// Limits of what is sent in one piece.
const (
	MaxCall = 4 << 20  // a request or an answer
	MaxHead = 64 << 10 // the head of a stream, a request to join
	maxData = 64 << 10

	limitMax  = 1 << 16 // of calls or streams at once
	windowMax = 16 << 20
)

// message is the kind of a message.
type message byte

const (
	msgHello message = 1 + iota
	msgRefuse
	msgProof
	msgJoin
	msgJoined
)

// sizes returns how long the body of a message may be; max is 0 for none.
func (m message) sizes() (min, max uint32) {
	switch m {
	case msgHello:
		return helloBytes, helloBytes
	case msgRefuse:
		return reasonMin, reasonMax
	case msgProof:
		return proofBytes, proofBytes
	case msgJoin:
		return 0, MaxHead
	case msgJoined:
		return 0, MaxCall
	}
	return 1, 0
}

// writeMessage sends a message in one write.
func writeMessage(w io.Writer, m message, body []byte) error {
	b := make([]byte, preambleBytes, preambleBytes+len(body))
	copy(b, magic)
	b[8], b[9] = version, byte(m)
	binary.BigEndian.PutUint32(b[12:], uint32(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

// readMessage reads the next message, which must be of the wanted kind. A REFUSE is
// returned as the *Error it holds.
func readMessage(r io.Reader, want message) ([]byte, error) {
	var b [preambleBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errEnded, err)
	}
	m, n, err := parsePreamble(b[:])
	if err != nil {
		return nil, err
	}
	if m != want && m != msgRefuse {
		return nil, fmt.Errorf("%w: message %d instead of %d", errMalformed, m, want)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("%w: %w", errEnded, err)
	}
	if m == msgRefuse {
		e, err := parseReason(body)
		if err != nil {
			return nil, err
		}
		return nil, e
	}
	return body, nil
}

func parsePreamble(b []byte) (m message, length uint32, err error) {
	if string(b[:8]) != magic {
		return 0, 0, fmt.Errorf("%w: it is not a node's link", errMalformed)
	}
	if b[8] > version {
		return 0, 0, fmt.Errorf("%w: version %d, mine is %d", ErrNewer, b[8], version)
	}
	m, length = message(b[9]), binary.BigEndian.Uint32(b[12:])
	if lo, hi := m.sizes(); b[8] != version || b[10] != 0 || b[11] != 0 || length < lo || length > hi {
		return 0, 0, fmt.Errorf("%w: message %d of %d bytes", errMalformed, m, length)
	}
	return m, length, nil
}

// role is what a connection is for.
type role byte

const (
	roleControl role = 1 + iota
	roleBulk
	roleJoin
)

func (c class) role() role { return roleControl + role(c) }

// hello is how each side introduces itself.
type hello struct {
	role    role
	node    uint32
	boot    uint64
	cluster [16]byte
	start   [nonceBytes]byte // of this start of the node
	session [nonceBytes]byte // of this connection
	key     [keyBytes]byte
	window  uint32
	calls   uint32
	streams uint32
}

func (h *hello) encode() []byte {
	b := make([]byte, helloBytes)
	b[0] = byte(h.role)
	binary.BigEndian.PutUint32(b[4:], h.node)
	binary.BigEndian.PutUint64(b[8:], h.boot)
	copy(b[16:], h.cluster[:])
	copy(b[32:], h.start[:])
	copy(b[48:], h.session[:])
	copy(b[64:], h.key[:])
	binary.BigEndian.PutUint32(b[96:], h.window)
	binary.BigEndian.PutUint32(b[100:], h.calls)
	binary.BigEndian.PutUint32(b[104:], h.streams)
	return b
}

func parseHello(b []byte) (*hello, error) {
	if len(b) != helloBytes {
		return nil, fmt.Errorf("%w: a hello of %d bytes", errMalformed, len(b))
	}
	h := &hello{
		role:    role(b[0]),
		node:    binary.BigEndian.Uint32(b[4:]),
		boot:    binary.BigEndian.Uint64(b[8:]),
		window:  binary.BigEndian.Uint32(b[96:]),
		calls:   binary.BigEndian.Uint32(b[100:]),
		streams: binary.BigEndian.Uint32(b[104:]),
	}
	copy(h.cluster[:], b[16:])
	copy(h.start[:], b[32:])
	copy(h.session[:], b[48:])
	copy(h.key[:], b[64:])
	joins := h.role == roleJoin
	named := h.node != 0 || h.boot != 0 || h.cluster != [16]byte{}
	if h.role < roleControl || h.role > roleJoin || joins && named || !joins && h.node == 0 ||
		h.window == 0 || h.window > windowMax || h.calls == 0 || h.calls > limitMax ||
		h.streams == 0 || h.streams > limitMax || string(h.encode()) != string(b) {
		return nil, fmt.Errorf("%w: a hello that contradicts itself", errMalformed)
	}
	return h, nil
}

// appendReason encodes err as a reason; err is nil for no particular one.
func appendReason(b []byte, err error) []byte {
	e := asError(err)
	return append(binary.BigEndian.AppendUint16(b, uint16(e.Code)), e.Text...)
}

func parseReason(b []byte) (*Error, error) {
	if len(b) < reasonMin || len(b) > reasonMax || !utf8.Valid(b[reasonMin:]) {
		return nil, fmt.Errorf("%w: a reason that cannot be read", errMalformed)
	}
	return &Error{Code: Code(binary.BigEndian.Uint16(b)), Text: string(b[reasonMin:])}, nil
}
