package ledger

import (
	"bytes"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func FuzzEntries(f *testing.F) {
	var b []byte
	for _, r := range records(0, 3) {
		b = appendEntry(b, r.Envelope)
	}
	f.Add(b, 3)
	f.Add(b[:len(b)-1], 3)
	f.Add([]byte{0, 0}, 1)
	f.Add([]byte{0xff, 0xff, 1}, 1)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		if width < 1 || width > BundleSize {
			return
		}
		entries, err := splitEntries(b, width)
		if err != nil {
			return
		}
		var back []byte
		for _, e := range entries {
			back = appendEntry(back, e)
		}
		if !bytes.Equal(back, b) {
			t.Fatal("not what was decoded")
		}
	})
}

func FuzzPayloads(f *testing.F) {
	c := testCodec(f)
	good := encodePayloads(f, c, 512, goldenPayloads())
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add([]byte("IMLP\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ps, err := decodePayloads(c, b, 512, 5); err == nil && len(ps) != 5 {
			t.Fatalf("%d payloads", len(ps))
		}
	})
}

// FuzzBlock fuzzes what is under checksum and compression.
func FuzzBlock(f *testing.F) {
	for _, p := range goldenPayloads() {
		f.Add(appendPayload(nil, &p))
	}
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, rest, err := cutPayload(b)
		if err != nil {
			return
		}
		if back := append(appendPayload(nil, &p), rest...); !bytes.Equal(back, b) {
			t.Fatal("not what was decoded")
		}
	})
}

func FuzzHead(f *testing.F) {
	f.Add(encodeHead(tlog.Tree{N: 256}))
	f.Add([]byte("IMLH\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tr, err := decodeHead(b); err == nil && !bytes.Equal(encodeHead(tr), b) {
			t.Fatal("not what was decoded")
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	signer, verifier := testKey(f, 1)
	msg, err := note.Sign(&note.Note{Text: checkpointText(testOrigin, tlog.Tree{N: 5})}, signer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Add([]byte("o\n5\nAAAA\n\n\u2014 o AAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCheckpoint(b)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, []byte(checkpointText(c.Origin, c.Tree)+"\n")) {
			t.Fatal("not what was decoded")
		}
		if c.verify(testOrigin, note.VerifierList(verifier)) == nil && !bytes.HasPrefix(b, msg[:bytes.Index(msg, []byte("\n\n"))]) {
			t.Fatal("a forged checkpoint")
		}
	})
}
