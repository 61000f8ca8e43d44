package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// Whatever a header holds, it is refused or encodes to the same bytes.
func FuzzHeader(f *testing.F) {
	for _, b := range goldenFrames() {
		f.Add(b[:headerBytes])
	}
	f.Add(claim(frameCall, 1, 1<<32-1))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < headerBytes {
			return
		}
		b := [headerBytes]byte(in)
		h, err := parseHeader(&b)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatal(err)
			}
			return
		}
		if h.length > callPrefix+MaxCall {
			t.Fatalf("%d bytes", h.length)
		}
		var again [headerBytes]byte
		if h.put(&again); again != b {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

// Whatever a connection begins with, each message is refused or encodes to the same
// bytes.
func FuzzMessage(f *testing.F) {
	seed := func(m message, body []byte) {
		var b bytes.Buffer
		writeMessage(&b, m, body)
		f.Add(b.Bytes(), byte(m))
	}
	seed(msgHello, goldenHello().encode())
	seed(msgRefuse, appendReason(nil, &Error{Code: CodeBusy, Text: "busy"}))
	seed(msgProof, make([]byte, proofBytes))
	seed(msgJoin, []byte("request"))
	seed(msgJoined, []byte("answer"))
	f.Add([]byte("IMS3link\x02\xff\xff\xff\xff\xff\xff\xff"), byte(msgHello))
	f.Fuzz(func(t *testing.T, in []byte, want byte) {
		body, err := readMessage(bytes.NewReader(in), message(want))
		m := message(want)
		var refused *Error
		switch {
		case errors.As(err, &refused):
			m, body = msgRefuse, appendReason(nil, refused)
		case err != nil:
			return
		case m == msgHello:
			h, err := parseHello(body)
			if err != nil {
				return
			}
			body = h.encode()
		}
		var out bytes.Buffer
		writeMessage(&out, m, body)
		if !bytes.HasPrefix(in, out.Bytes()) {
			t.Fatalf("%x became %x", in, out.Bytes())
		}
	})
}

// scripted is a connection on which certain bytes come in, and what goes out is lost.
type scripted struct {
	net.Conn
	in io.Reader
}

func (s scripted) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s scripted) Write(p []byte) (int, error) { return len(p), nil }
func (s scripted) Close() error                { return nil }

// Whatever comes over a session, on either side of it, it ends without a panic and
// with everything on it ended.
func FuzzSession(f *testing.F) {
	all := bytes.Join(goldenFrames(), nil)
	f.Add(all, false)
	f.Add(all, true)
	for _, b := range goldenFrames() {
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Add(bytes.Join([][]byte{raw(frameOpen, byte(mPipe), 1), raw(frameData, 0, 1, 1, 2, 3), raw(frameEnd, endSends, 1), raw(frameReset, 0, 1, 0, 1)}, nil), false)
	f.Fuzz(func(t *testing.T, in []byte, dialed bool) {
		r := newRig(t, true)
		a := r.start(1, 1, func(o *Options) { o.MaxCalls, o.MaxStreams = 8, 8 })
		h := a.introduce(roleControl)
		s := newSession(a.peer(2), control, &channel{raw: scripted{}, conn: scripted{in: bytes.NewReader(in)}, mine: h, theirs: h}, dialed)
		if dialed { // something that the frames can hit
			s.expect(3, &call{done: make(chan struct{})})
			s.slots <- struct{}{}
			for range 6 {
				s.places <- struct{}{}
				st := s.newStream(s.ids.Add(1))
				s.streams[st.id] = st
			}
		}
		a.start(s.write)
		a.start(s.read)
		<-s.done
		a.Close()
		for len(a.pipes) > 0 {
			st := <-a.pipes
			st.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadAll(st); err == nil || isTimeout(err) {
				t.Fatal(err)
			}
		}
	})
}
