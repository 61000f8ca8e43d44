package link

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// actor speaks to a node with a member's key, and as it likes.
type actor struct {
	t *testing.T
	*channel
}

// act connects to a node as another one.
func (r *rig) act(t *testing.T, as uint32, to *testNode, c class) *actor {
	t.Helper()
	o, n := r.options(as, 1)
	o.Listener.Close()
	r.change(as, func(p *Peer) { *p = Peer{Node: as, Address: o.Listener.Addr().String(), Key: public(o.Key)} })
	cert, err := certificate(o.Key)
	must(t, err)
	must(t, o.complete())
	n.Link = &Link{opts: o, cert: cert, peers: map[uint32]*peer{}}
	n.Link.nonce[0] = byte(as)
	raw, err := net.Dial("tcp", to.opts.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	member, _ := r.lookup(to.opts.Self)
	ch, err := n.agree(raw, member, c.role())
	must(t, err)
	return &actor{t, ch}
}

func (a *actor) send(frames ...[]byte) { a.conn.Write(bytes.Join(frames, nil)) }

// farewell reads until the connection ends and returns the reason it was given.
func (a *actor) farewell() *Error {
	for {
		var b [headerBytes]byte
		if _, err := io.ReadFull(a.conn, b[:]); err != nil {
			return nil
		}
		h, err := parseHeader(&b)
		must(a.t, err)
		payload := make([]byte, h.length)
		if _, err := io.ReadFull(a.conn, payload); err != nil {
			return nil
		}
		if h.kind == frameBye {
			e, err := parseReason(payload)
			must(a.t, err)
			return e
		}
	}
}

// raw makes a frame without asking whether there may be one.
func raw(kind frame, tag byte, id uint64, payload ...byte) []byte {
	return appendFrame(nil, header{kind: kind, tag: tag, length: uint32(len(payload)), id: id}, payload)
}

// claim makes a header that claims a length.
func claim(kind frame, id uint64, length uint32) []byte {
	return appendFrame(nil, header{kind: kind, tag: 1, length: length, id: id}, nil)
}

func callFrame(m Method, id uint64) []byte {
	return raw(frameCall, byte(m), id, append(binary.BigEndian.AppendUint64(nil, uint64(time.Minute)), 'x')...)
}

// A member that does not keep to the protocol is told so and cut off; the node goes
// on, and nothing is left of that session.
func TestMemberBreaksProtocol(t *testing.T) {
	reserved := raw(framePing, 0, 0, make([]byte, 8)...)
	reserved[2] = 1
	data := func(id uint64, n int) []byte { return raw(frameData, 0, id, make([]byte, n)...) }
	cases := map[string][][]byte{
		"kind 0":                 {raw(0, 0, 1)},
		"kind 13":                {raw(13, 0, 1)},
		"reserved byte":          {reserved},
		"call too long":          {claim(frameCall, 1, callPrefix+MaxCall+1)},
		"2^32-1 bytes":           {claim(frameCall, 1, 1<<32-1)},
		"call too short":         {claim(frameCall, 1, callPrefix-1)},
		"call without id":        {raw(frameCall, 1, 0, make([]byte, 9)...)},
		"same call twice":        {callFrame(mWait, 5), callFrame(mWait, 5)},
		"too many calls":         {callFrame(mWait, 1), callFrame(mWait, 2), callFrame(mWait, 3), callFrame(mWait, 4)},
		"answer from the dialer": {raw(frameAnswer, 0, 1)},
		"fail from the dialer":   {raw(frameFail, 0, 1, 0, 1)},
		"head too long":          {claim(frameOpen, 1, MaxHead+1)},
		"same stream twice":      {raw(frameOpen, byte(mPipe), 1), raw(frameOpen, byte(mPipe), 1)},
		"too many streams": {raw(frameOpen, byte(mPipe), 1), raw(frameOpen, byte(mPipe), 2),
			raw(frameOpen, byte(mPipe), 3), raw(frameOpen, byte(mPipe), 4)},
		"empty data":          {raw(frameData, 0, 1)},
		"data too long":       {claim(frameData, 1, maxData+1)},
		"more than window":    {raw(frameOpen, byte(mPipe), 1), data(1, 60_000), data(1, 60_000), data(1, 60_000)},
		"data after end":      {raw(frameOpen, byte(mPipe), 1), raw(frameEnd, endSends, 1), data(1, 1)},
		"two ends":            {raw(frameOpen, byte(mPipe), 1), raw(frameEnd, endSends, 1), raw(frameEnd, endSends, 1)},
		"end of way 3":        {raw(frameOpen, byte(mPipe), 1), raw(frameEnd, 3, 1)},
		"too much credit":     {raw(frameOpen, byte(mPipe), 1), raw(frameCredit, 0, 1, 0, 0, 0, 1)},
		"no credit":           {raw(frameOpen, byte(mPipe), 1), raw(frameCredit, 0, 1, 0, 0, 0, 0)},
		"tag where none":      {raw(frameCancel, 1, 1)},
		"unasked pong":        {raw(framePong, 0, 0, bytes.Repeat([]byte{255}, 24)...)},
		"ping with id":        {raw(framePing, 0, 9, make([]byte, 8)...)},
		"reason without code": {claim(frameBye, 0, 1)},
		"reason not UTF-8":    {raw(frameReset, 0, 1, 0, 1, 0xff)},
		"reason too long":     {claim(frameReset, 1, reasonMax+1)},
	}
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, func(o *Options) { o.MaxCalls, o.MaxStreams, o.Window = 3, 3, 128<<10 })
		r.start(2, 1, nil)
		number := uint32(100)
		for name, frames := range cases {
			number++
			x := r.act(t, number, a, control)
			x.send(frames...)
			if e := x.farewell(); e == nil || e.Code != CodeMalformed {
				t.Errorf("%s: %v", name, e)
			}
			eventually(t, "the session is gone", func() bool { return len(a.peer(number).sessions()) == 0 })
		}
		r.reaches(r.nodes[2], 1)
		for len(a.pipes) > 0 {
			if _, err := io.ReadAll(<-a.pipes); err == nil {
				t.Error("a clean end")
			}
		}
	})
}

// What is in order but of no use is ignored: it may come when ends cross.
func TestLateFrames(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, nil)
		x := r.act(t, 2, a, control)
		x.send(raw(frameData, 0, 7, 1, 2, 3), raw(frameEnd, endSends, 7), raw(frameEnd, endCloses, 7), raw(frameReset, 0, 7, 0, 1),
			raw(frameCredit, 0, 7, 0, 0, 1, 0), raw(frameCancel, 0, 7), callFrame(mEcho, 8))
		for {
			var b [headerBytes]byte
			_, err := io.ReadFull(x.conn, b[:])
			must(t, err)
			h, err := parseHeader(&b)
			must(t, err)
			io.CopyN(io.Discard, x.conn, int64(h.length))
			if h.kind == frameAnswer && h.id == 8 {
				return
			}
		}
	})
}

// Frames that break off at any byte end the session and nothing else.
func TestTruncatedFrames(t *testing.T) {
	r := newRig(t, true)
	a := r.start(1, 1, nil)
	whole := bytes.Join([][]byte{raw(frameOpen, byte(mPipe), 1, 'h'), raw(frameData, 0, 1, 1, 2, 3), callFrame(mEcho, 2)}, nil)
	for n := range len(whole) {
		x := r.act(t, uint32(100+n), a, control)
		x.send(whole[:n])
		x.raw.Close()
		eventually(t, "the session is gone", func() bool { return len(a.peer(uint32(100+n)).sessions()) == 0 })
	}
	for len(a.pipes) > 0 {
		if _, err := io.ReadAll(<-a.pipes); err == nil {
			t.Error("a clean end")
		}
	}
}

// A member that floods and reads nothing is cut off, and holds no memory meanwhile.
func TestFlood(t *testing.T) {
	r := newRig(t, true)
	a := r.start(1, 1, func(o *Options) { o.Ping, o.Silence = time.Minute, time.Minute })
	x := r.act(t, 2, a, control)
	// Each of these is answered by a small frame, and none is read.
	ping := bytes.Repeat(raw(framePing, 0, 0, make([]byte, 8)...), 1000)
	for range 10_000 {
		if _, err := x.conn.Write(ping); err != nil {
			break
		}
	}
	eventually(t, "the session is gone", func() bool { return len(a.peer(2).sessions()) == 0 })
	x = r.act(t, 3, a, control)
	open := bytes.Repeat(raw(frameOpen, 99, 1), 1000) // each is reset: there is no such method
	for range 100_000 {
		if _, err := x.conn.Write(open); err != nil {
			break
		}
	}
	eventually(t, "the session is gone", func() bool { return len(a.peer(3).sessions()) == 0 })
	if !strings.Contains(r.log.String(), errFlood.Error()) {
		t.Error("it is not said why")
	}
}

// Strangers that send anything at all: the connection ends, the node goes on.
func TestRandomBytes(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, func(o *Options) { o.Handshake = 300 * time.Millisecond })
		b := r.start(2, 1, nil)
		rng := rand.New(rand.NewPCG(1, 2))
		good := a.introduce(roleControl).encode()
		inputs := [][]byte{
			[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("SSH-2.0-x\r\n"), {0x16, 3, 1, 0xff, 0xff}, {}, []byte(magic),
			append([]byte(magic), version, byte(msgHello), 0, 0, 0xff, 0xff, 0xff, 0xff),
			append([]byte(magic), version, byte(msgJoined), 0, 0, 0, 0x10, 0, 0),
			append([]byte(magic), 0, byte(msgHello), 0, 0, 0, 0, 0, helloBytes),
			append([]byte(magic), version, byte(msgHello), 0, 0, 0, 0, 0, helloBytes, 9),
		}
		for range 40 {
			b := bytes.Clone(good)
			for range 1 + rng.IntN(4) {
				b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
			}
			m := append([]byte(magic), version, byte(msgHello), 0, 0, 0, 0, 0, helloBytes)
			inputs = append(inputs, append(m, b...))
			junk := make([]byte, rng.IntN(2000))
			for i := range junk {
				junk[i] = byte(rng.Uint32())
			}
			inputs = append(inputs, junk)
		}
		cert, err := certificate(newKey())
		must(t, err)
		for _, in := range inputs {
			for _, inside := range []bool{false, !r.plain} {
				raw, err := net.Dial("tcp", a.opts.Listener.Addr().String())
				must(t, err)
				raw.SetDeadline(time.Now().Add(10 * time.Second))
				conn := net.Conn(raw)
				if inside {
					conn, err = secure(raw, false, true, tlsConfig(cert, time.Now, anyKey))
					must(t, err)
				}
				conn.Write(in)
				raw.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
				raw.Close()
			}
		}
		r.reaches(b, 1)
		if n := len(a.everyPeer()); n > 2 {
			t.Errorf("%d peers", n)
		}
	})
}

// A connection that says nothing is closed in time, and many of them do not keep a
// member out.
func TestSilentStrangers(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, func(o *Options) { o.Handshake = 1500 * time.Millisecond })
		b := r.start(2, 1, nil)
		var conns []net.Conn
		for range maxStrangers + 50 {
			c, err := net.Dial("tcp", a.opts.Listener.Addr().String())
			must(t, err)
			conns = append(conns, c)
		}
		r.reaches(b, 1)
		a.mu.Lock()
		if n := len(a.strangers); n > maxStrangers {
			t.Errorf("%d strangers", n)
		}
		a.mu.Unlock()
		for _, c := range conns {
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				t.Fatal(err)
			}
			c.Close()
		}
		eventually(t, "no strangers", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.strangers) == 0 })
	})
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// What answers at a node's address speaks nonsense: the call fails, surely not done.
func TestAnswersOfNonsense(t *testing.T) {
	r := newRig(t, true)
	a := r.start(1, 1, nil)
	other := &Link{opts: Options{Self: 3, Key: newKey(), Window: 1, MaxCalls: 1, MaxStreams: 1, Cluster: testCluster}}
	key := public(other.opts.Key)
	hi := func(edit func(*hello)) []byte {
		h := other.introduce(roleControl)
		h.node = 2
		edit(h)
		return append(append([]byte(magic), version, byte(msgHello), 0, 0, 0, 0, 0, helloBytes), h.encode()...)
	}
	for name, c := range map[string]struct {
		answer []byte
		says   string
	}{
		"http":          {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "not a node's link"},
		"nothing":       {nil, "ended"},
		"newer":         {append([]byte(magic), version+1, 200, 1, 1, 1, 1, 1, 1), "newer than I am"},
		"another node":  {hi(func(h *hello) { h.node = 3 }), "node 3 answered instead of node 2"},
		"another role":  {hi(func(h *hello) { h.role = roleBulk }), "protocol"},
		"no window":     {hi(func(h *hello) { h.window = 0 }), "contradicts itself"},
		"a proof":       {append(append([]byte(magic), version, byte(msgProof), 0, 0, 0, 0, 0, 32), make([]byte, 32)...), "instead of"},
		"broken reason": {append([]byte(magic), version, byte(msgRefuse), 0, 0, 0, 0, 0, 3, 0, 1, 0xff), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			defer l.Close()
			r.change(2, func(p *Peer) { *p = Peer{Node: 2, Address: l.Addr().String(), Key: key} })
			done := make(chan bool)
			go func() {
				defer close(done)
				conn, err := l.Accept()
				must(t, err)
				readHello(conn)
				conn.Write(c.answer)
				conn.Close()
			}()
			o := &a.peer(2).out[control]
			o.mu.Lock()
			o.next, o.wanted = 0, false // no back-off
			o.mu.Unlock()
			_, err := a.Call(within(t, 10*time.Second), 2, mEcho)
			wantError(t, err, ErrUnreachable, c.says)
			o.unwant()
			<-done
		})
	}
}
