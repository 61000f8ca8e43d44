package link

import (
	"encoding/binary"
	"fmt"
)

// frame is the kind of a frame; format.go draws them.
type frame byte

const (
	frameCall frame = 1 + iota
	frameCancel
	frameAnswer
	frameFail
	frameOpen
	frameData
	frameEnd
	frameReset
	frameCredit
	framePing
	framePong
	frameBye
)

// The ways of END.
const (
	endSends  byte = 1 + iota // nothing more will be sent
	endCloses                 // nor read
)

const (
	callPrefix  = 8 // bytes of the deadline before a request
	pingBytes   = 8
	pongBytes   = 24
	creditBytes = 4
)

// header is the header of a frame.
type header struct {
	kind   frame
	tag    byte // method, or way of END
	length uint32
	id     uint64
}

// sizes returns how long the payload of a frame may be; max is 0 below min for none.
func (k frame) sizes() (min, max uint32) {
	switch k {
	case frameCall:
		return callPrefix, callPrefix + MaxCall
	case frameCancel, frameEnd:
		return 0, 0
	case frameAnswer:
		return 0, MaxCall
	case frameFail, frameReset, frameBye:
		return reasonMin, reasonMax
	case frameOpen:
		return 0, MaxHead
	case frameData:
		return 1, maxData
	case frameCredit:
		return creditBytes, creditBytes
	case framePing:
		return pingBytes, pingBytes
	case framePong:
		return pongBytes, pongBytes
	}
	return 1, 0
}

// tagged tells whether the tag of a frame of this kind may be t.
func (k frame) tagged(t byte) bool {
	switch k {
	case frameCall, frameOpen:
		return true
	case frameEnd:
		return t == endSends || t == endCloses
	}
	return t == 0
}

// mayCome tells whether the side that dialed, or the other one, sends such frames.
func (k frame) mayCome(fromDialer bool) bool {
	switch k {
	case frameCall, frameCancel, frameOpen:
		return fromDialer
	case frameAnswer, frameFail:
		return !fromDialer
	}
	return true
}

func (h header) put(b *[headerBytes]byte) {
	b[0], b[1], b[2], b[3] = byte(h.kind), h.tag, 0, 0
	binary.BigEndian.PutUint32(b[4:], h.length)
	binary.BigEndian.PutUint64(b[8:], h.id)
}

func parseHeader(b *[headerBytes]byte) (header, error) {
	h := header{
		kind:   frame(b[0]),
		tag:    b[1],
		length: binary.BigEndian.Uint32(b[4:]),
		id:     binary.BigEndian.Uint64(b[8:]),
	}
	lo, hi := h.kind.sizes()
	hasID := h.kind != framePing && h.kind != framePong && h.kind != frameBye
	if h.length < lo || h.length > hi || b[2] != 0 || b[3] != 0 || !h.kind.tagged(h.tag) || hasID != (h.id != 0) {
		return header{}, fmt.Errorf("%w: frame %d, tag %d, %d bytes, id %d", errMalformed, h.kind, h.tag, h.length, h.id)
	}
	return h, nil
}
