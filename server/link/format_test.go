package link

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func goldenHello() *hello {
	h := &hello{role: roleBulk, node: 0x01020304, boot: 0x1112131415161718, window: 256 << 10, calls: 1024, streams: 512}
	for i := range h.cluster {
		h.cluster[i], h.start[i], h.session[i] = byte(0x20+i), byte(0x30+i), byte(0x40+i)
	}
	for i := range h.key {
		h.key[i] = byte(0x60 + i)
	}
	return h
}

// goldenFrames is one frame of each kind, in order.
func goldenFrames() [][]byte {
	stamps := bytes.Repeat([]byte{0, 1, 2, 3, 4, 5, 6, 7}, 3)
	reason := appendReason(nil, &Error{Code: CodeBusy, Text: "später"})
	return [][]byte{
		raw(frameCall, 0x81, 1, append([]byte{0, 0, 0, 2, 0x54, 0x0b, 0xe4, 0}, "request"...)...),
		raw(frameCancel, 0, 2), raw(frameAnswer, 0, 3, []byte("answer")...), raw(frameFail, 0, 4, reason...),
		raw(frameOpen, 7, 5, []byte("head")...), raw(frameData, 0, 6, []byte("bytes")...), raw(frameEnd, endCloses, 7),
		raw(frameReset, 0, 8, reason...), raw(frameCredit, 0, 9, 0, 1, 0, 0), raw(framePing, 0, 0, stamps[:8]...),
		raw(framePong, 0, 0, stamps...), raw(frameBye, 0, 0, reason...),
	}
}

// The bytes of version 1, for ever.
func TestGoldenFormat(t *testing.T) {
	var out strings.Builder
	show := func(what string, b []byte) { fmt.Fprintf(&out, "%s\n%s\n", what, hex.Dump(b)) }
	message := func(m message, body []byte) []byte {
		var b bytes.Buffer
		must(t, writeMessage(&b, m, body))
		return b.Bytes()
	}
	hi := message(msgHello, goldenHello().encode())
	show("HELLO", hi)
	show("REFUSE", message(msgRefuse, appendReason(nil, &Error{Code: CodeClone, Text: "two"})))
	show("PROOF", message(msgProof, bytes.Repeat([]byte{0xaa}, proofBytes)))
	show("JOIN", message(msgJoin, []byte("request")))
	show("JOINED", message(msgJoined, nil))
	for i, f := range goldenFrames() {
		show(fmt.Sprintf("frame %d", i+1), f)
		var b [headerBytes]byte
		copy(b[:], f)
		h, err := parseHeader(&b)
		if err != nil || h.kind != frame(i+1) || int(h.length) != len(f)-headerBytes {
			t.Errorf("frame %d: %+v, %v", i+1, h, err)
		}
	}
	path := filepath.Join("testdata", "format.txt")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(out.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if string(want) != out.String() {
		t.Errorf("%s differs: nodes of two releases will not understand each other:\n%s", path, out.String())
	}
	body, err := readMessage(bytes.NewReader(hi), msgHello)
	must(t, err)
	if h, err := parseHello(body); err != nil || *h != *goldenHello() {
		t.Errorf("%+v, %v", h, err)
	}
}

// A preamble of the next version, whatever else is in it, is newer, not malformed;
// and the node that meets it says so.
func TestGoldenNextVersion(t *testing.T) {
	next := []byte("IMS3link\x02\xff\xff\xff\xff\xff\xff\xff")
	if _, _, err := parsePreamble(next); !errors.Is(err, ErrNewer) || errors.Is(err, errMalformed) {
		t.Fatal(err)
	}
	if _, _, err := parsePreamble([]byte("IMS3link\x00\x01\x00\x00\x00\x00\x00\x70")); !errors.Is(err, errMalformed) {
		t.Fatal(err)
	}
	r := newRig(t, true)
	a := r.start(1, 1, nil)
	conn, err := net.Dial("tcp", a.opts.Listener.Addr().String())
	must(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	conn.Write(next)
	_, err = readMessage(conn, msgHello)
	wantCode(t, err, CodeNewer)
}

// Codes are on the wire and in the programs of others.
func TestCodesAreStable(t *testing.T) {
	for want, c := range []Code{CodeFailed, CodeNoMethod, CodeCancelled, CodeMalformed, CodeNewer, CodeNotMember, CodeOtherCluster,
		CodeStale, CodeClone, CodeBusy, CodeSecret, CodeNoJoin, CodeClosing} {
		if int(c) != want+1 {
			t.Errorf("code %d is %d", want+1, c)
		}
	}
	if FirstCode != 64 || Bulk != 0x80 {
		t.Error("the first code or the first bulk method moved")
	}
}

// The strictness of the decoders, field by field.
func TestHelloIsStrict(t *testing.T) {
	good := goldenHello()
	if _, err := parseHello(good.encode()); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(h *hello){
		"role 0": func(h *hello) { h.role = 0 }, "role 4": func(h *hello) { h.role = 4 }, "node 0": func(h *hello) { h.node = 0 },
		"window 0": func(h *hello) { h.window = 0 }, "window": func(h *hello) { h.window = windowMax + 1 },
		"calls 0": func(h *hello) { h.calls = 0 }, "calls": func(h *hello) { h.calls = limitMax + 1 },
		"streams 0": func(h *hello) { h.streams = 0 }, "streams": func(h *hello) { h.streams = limitMax + 1 },
		"a joiner with a number": func(h *hello) { h.role, h.boot, h.cluster = roleJoin, 0, [16]byte{} },
	} {
		h := *good
		edit(&h)
		if _, err := parseHello(h.encode()); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, i := range []int{1, 3, 108, 111} {
		b := good.encode()
		b[i] = 1
		if _, err := parseHello(b); !errors.Is(err, errMalformed) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	if _, err := parseHello(nil); !errors.Is(err, errMalformed) {
		t.Error(err)
	}
}
