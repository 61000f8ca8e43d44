package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"ironman/wal/digest"
	"ironman/wal/event"
)

func testCodec(t testing.TB) *codec {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func encodePayloads(t testing.TB, c *codec, first uint64, ps []Payload) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := newPayloadWriter(&b, c, first, len(ps))
	if err != nil {
		t.Fatal(err)
	}
	for i := range ps {
		if err := w.add(&ps[i]); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func decodePayloads(c *codec, b []byte, first uint64, entries int) ([]Payload, error) {
	r, err := newPayloadReader(bytes.NewReader(b), int64(len(b)), c, first, entries)
	if err != nil {
		return nil, err
	}
	var ps []Payload
	for {
		p, err := r.read()
		if err == io.EOF {
			return ps, nil
		}
		if err != nil {
			return ps, err
		}
		ps = append(ps, p)
	}
}

func samePayloads(t testing.TB, got, want []Payload) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d payloads instead of %d", len(got), len(want))
	}
	for i := range got {
		if what := got[i].differs(&want[i]); what != "" {
			t.Fatalf("payload %d: %s differs", i, what)
		}
		for k := range got[i].Items {
			if got[i].Items[k].Erased != want[i].Items[k].Erased {
				t.Fatalf("payload %d: item %d erased: %v", i, k, got[i].Items[k].Erased)
			}
		}
	}
}

func TestPayloadRoundTrip(t *testing.T) {
	c := testCodec(t)
	blob := func(rt *rapid.T, name string, min, max int) []byte {
		b := make([]byte, rapid.IntRange(min, max).Draw(rt, name))
		rand.NewChaCha8([32]byte{byte(len(b)), byte(len(b) >> 8)}).Read(b)
		return b
	}
	rapid.Check(t, func(rt *rapid.T) {
		ps := make([]Payload, rapid.IntRange(1, BundleSize).Draw(rt, "entries"))
		for i := range ps {
			if rapid.IntRange(0, 9).Draw(rt, "kind") > 0 {
				continue // most are empty: the rest matters
			}
			ps[i].Statement = blob(rt, "statement", 0, 200<<10)
			ps[i].Outcome = blob(rt, "outcome", 0, 2000)
			for range rapid.IntRange(0, 5).Draw(rt, "items") {
				it := Item{Bytes: blob(rt, "item", 0, 5000)}
				if rapid.Bool().Draw(rt, "erased") {
					it = Item{Erased: true, Hash: it.Sum()}
				}
				ps[i].Items = append(ps[i].Items, it)
			}
		}
		first := rapid.Uint64Range(0, 1<<50).Draw(rt, "bundle") * BundleSize
		got, err := decodePayloads(c, encodePayloads(t, c, first, ps), first, len(ps))
		if err != nil {
			rt.Fatal(err)
		}
		samePayloads(t, got, ps)
	})
}

// The largest payload, none of which can be compressed, is within every cap.
func TestPayloadLimits(t *testing.T) {
	c := testCodec(t)
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.NewChaCha8([32]byte{7}).Read(b)
		return b
	}
	small := Payload{Statement: random(blockTarget - 20)}
	large := Payload{Statement: random(MaxProposalBytes - event.MaxItems*18), Outcome: random(MaxOutcomeBytes)}
	for range event.MaxItems {
		large.Items = append(large.Items, Item{Bytes: random(18)})
	}
	erased := Payload{Statement: random(MaxProposalBytes), Outcome: random(MaxOutcomeBytes), Items: make([]Item, event.MaxItems)}
	for i := range erased.Items {
		erased.Items[i].Erased = true
	}
	for i, ps := range [][]Payload{{small, large}, {small, erased}, {large, large, erased, small}} {
		for k := range ps {
			if err := ps[k].fits(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := decodePayloads(c, encodePayloads(t, c, 0, ps), 0, len(ps))
		if err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
		samePayloads(t, got, ps)
	}
	for name, p := range map[string]Payload{
		"statement": {Statement: make([]byte, MaxProposalBytes+1)},
		"items":     {Items: make([]Item, event.MaxItems+1)},
		"item":      {Items: []Item{{Bytes: make([]byte, MaxProposalBytes+1)}}},
		"outcome":   {Outcome: make([]byte, MaxOutcomeBytes+1)},
	} {
		if p.fits() == nil {
			t.Errorf("%s above the limit fits", name)
		}
	}
}

// goldenPayloads are those of testdata/payload.bundle.
func goldenPayloads() []Payload {
	var ps []Payload
	for _, r := range records(512, 512+5) {
		ps = append(ps, r.Payload)
	}
	ps[3].Items[1] = Item{Erased: true, Hash: ps[3].Items[1].Sum()}
	return ps
}

// The file was written once and stays: every release must read it. (It is not
// compared with what is written today, for zstd may come to compress better.)
func TestPayloadGolden(t *testing.T) {
	c, ps := testCodec(t), goldenPayloads()
	file := filepath.Join("testdata", "payload.bundle")
	if _, err := os.Stat(file); *update && os.IsNotExist(err) {
		if err := os.WriteFile(file, encodePayloads(t, c, 512, ps), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodePayloads(c, b, 512, len(ps))
	if err != nil {
		t.Fatal(err)
	}
	samePayloads(t, got, ps)
	// What is under the compression is ours alone, and pinned.
	var plain []byte
	for i := range ps {
		plain = appendPayload(plain, &ps[i])
	}
	golden(t, "payload.golden", fmt.Sprintf("header %x\nblock header %x\nplain %x\n",
		encodePayloadHeader(512, 5), encodeBlock(512, 5, len(plain), []byte("frame")), plain))
}

// sealed writes a payload bundle around given plain bytes.
func sealed(c *codec, first uint64, entries, inBlock int, plain []byte) []byte {
	frame := c.enc.EncodeAll(plain, nil)
	b := encodePayloadHeader(first, entries)
	b = append(b, encodeBlock(first, inBlock, len(plain), frame)...)
	return append(b, frame...)
}

func TestPayloadRefuses(t *testing.T) {
	c, ps := testCodec(t), goldenPayloads()
	good := encodePayloads(t, c, 512, ps)
	edit := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(good)) }
	reseal := func(change func(b []byte)) []byte {
		return edit(func(b []byte) []byte {
			change(b)
			binary.BigEndian.PutUint32(b[15:], digest.CRC32C(b[:15]))
			return b
		})
	}
	one := appendPayload(nil, &ps[1])
	huge := bytes.Clone(one)
	binary.BigEndian.PutUint32(huge, 1<<31)
	items := appendLong(nil, nil)
	items = append(items, 0xff, 0xff)
	kind := append(appendLong(nil, nil), 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0)
	long := appendPayload(nil, &Payload{Statement: make([]byte, MaxProposalBytes+1)})
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, event.ErrMalformed},
		{"another magic", edit(func(b []byte) []byte { b[0]++; return b }), event.ErrMalformed},
		{"version 0", edit(func(b []byte) []byte { b[4] = 0; return b }), event.ErrMalformed},
		{"the next version", edit(func(b []byte) []byte { b[4] = payloadVersion + 1; return b }), event.ErrNewer},
		{"the next version, another layout", []byte("IMLP\x02"), event.ErrNewer},
		{"a cut header", good[:payloadHeaderBytes-1], event.ErrMalformed},
		{"a header with another checksum", edit(func(b []byte) []byte { b[18]++; return b }), event.ErrMalformed},
		{"another sequence", reseal(func(b []byte) { b[11]++ }), event.ErrMalformed},
		{"another number of entries", reseal(func(b []byte) { b[14]++ }), event.ErrMalformed},
		{"no entries", reseal(func(b []byte) { b[14] = 0 }), event.ErrMalformed},
		{"no blocks", good[:payloadHeaderBytes], event.ErrMalformed},
		{"a cut block header", good[:payloadHeaderBytes+5], event.ErrMalformed},
		{"a cut frame", good[:len(good)-1], event.ErrMalformed},
		{"a byte more", append(bytes.Clone(good), 0), event.ErrMalformed},
		{"a changed frame", edit(func(b []byte) []byte { b[40]++; return b }), event.ErrMalformed},
		{"a changed block header", edit(func(b []byte) []byte { b[payloadHeaderBytes+5]++; return b }), event.ErrMalformed},
		{"a block of too many", edit(func(b []byte) []byte { b[payloadHeaderBytes+1]++; return b }), event.ErrMalformed},
		{"a huge block", edit(func(b []byte) []byte { b[payloadHeaderBytes+2] = 0xff; return b }), event.ErrMalformed},
		{"no plain bytes", sealed(c, 512, 5, 5, nil), event.ErrMalformed},
		{"a huge statement", sealed(c, 512, 5, 5, huge), event.ErrMalformed},
		{"too many items", sealed(c, 512, 5, 5, items), event.ErrMalformed},
		{"an unknown item state", sealed(c, 512, 5, 5, kind), event.ErrMalformed},
		{"a statement above the limit", sealed(c, 512, 5, 5, long), event.ErrMalformed},
		{"fewer payloads than the block says", sealed(c, 512, 5, 5, one), event.ErrMalformed},
		{"more payloads than the block says", sealed(c, 512, 5, 1, append(bytes.Clone(one), one...)), event.ErrMalformed},
	} {
		if _, err := decodePayloads(testCodec(t), c.b, 512, 5); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// A block of one place is not taken for that of another.
func TestBlocksAreBound(t *testing.T) {
	c := testCodec(t)
	big := func(seed byte) Payload {
		b := make([]byte, blockTarget)
		rand.NewChaCha8([32]byte{seed}).Read(b)
		return Payload{Statement: b}
	}
	b := encodePayloads(t, c, 0, []Payload{big(1), big(2)})
	body := b[payloadHeaderBytes:]
	half := len(body) / 2
	swapped := append(bytes.Clone(b[:payloadHeaderBytes]), body[half:]...)
	swapped = append(swapped, body[:half]...)
	if _, err := decodePayloads(c, b, 0, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := decodePayloads(c, swapped, 0, 2); !errors.Is(err, event.ErrMalformed) {
		t.Fatalf("swapped blocks: %v", err)
	}
}

func TestEntries(t *testing.T) {
	var b []byte
	want := [][]byte{[]byte("a"), nil, bytes.Repeat([]byte("x"), MaxEnvelopeBytes)}
	for _, e := range want {
		b = appendEntry(b, e)
	}
	got, err := splitEntries(b, 3)
	if err != nil || len(got) != 3 || !bytes.Equal(got[0], want[0]) || len(got[1]) != 0 || !bytes.Equal(got[2], want[2]) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for cut := range len(b) - 1 {
		if _, err := splitEntries(b[:cut], 3); !errors.Is(err, event.ErrMalformed) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	if _, err := splitEntries(append(b, 0), 3); !errors.Is(err, event.ErrMalformed) {
		t.Fatalf("a byte more: %v", err)
	}
}

func TestHead(t *testing.T) {
	tr := tlog.Tree{N: 768, Hash: tlog.RecordHash([]byte("x"))}
	good := encodeHead(tr)
	golden(t, "head.golden", fmt.Sprintf("%x\n", good))
	if got, err := decodeHead(good); err != nil || got != tr {
		t.Fatalf("%v %v", got, err)
	}
	edit := func(change func(b []byte)) []byte {
		b := bytes.Clone(good)
		change(b)
		return b
	}
	over := encodeHead(tlog.Tree{N: 1<<62 + 1})
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, event.ErrMalformed},
		{"a magic only", []byte("IMLH"), event.ErrMalformed},
		{"another magic", edit(func(b []byte) { b[0]++ }), event.ErrMalformed},
		{"version 0", edit(func(b []byte) { b[4] = 0 }), event.ErrMalformed},
		{"the next version", edit(func(b []byte) { b[4]++ }), event.ErrNewer},
		{"the next version, another layout", []byte("IMLH\x02 and so on"), event.ErrNewer},
		{"cut", good[:len(good)-1], event.ErrMalformed},
		{"a byte more", append(bytes.Clone(good), 0), event.ErrMalformed},
		{"another size", edit(func(b []byte) { b[12]++ }), event.ErrMalformed},
		{"another root", edit(func(b []byte) { b[20]++ }), event.ErrMalformed},
		{"too large", over, event.ErrMalformed},
	} {
		if _, err := decodeHead(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestCheckpoint(t *testing.T) {
	signer, verifier := testKey(t, 1)
	other, otherVerifier := testKey(t, 2)
	keys := note.VerifierList(verifier)
	sign := func(text string, signers ...note.Signer) []byte {
		msg, err := note.Sign(&note.Note{Text: text}, signers...)
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	tr := tlog.Tree{N: 20852163, Hash: tlog.RecordHash([]byte("root"))}
	text := checkpointText(testOrigin, tr)
	good := sign(text, signer)
	golden(t, "checkpoint.golden", string(good))
	root := base64.StdEncoding.EncodeToString(tr.Hash[:])
	for _, c := range []struct {
		name string
		msg  []byte
		want error
	}{
		{"ours", good, nil},
		{"ours and another's", sign(text, signer, other), nil},
		{"another's", sign(text, other), ErrSignature},
		{"another origin", sign("other\n"+text[strings.Index(text, "\n")+1:], signer), ErrSignature},
		{"another size", bytes.Replace(good, []byte("20852163"), []byte("20852164"), 1), ErrSignature},
		{"another signature", bytes.Replace(good, []byte("ledger/1 "), []byte("ledger/1 AAAA"), 1), ErrSignature},
		{"a line more: of a newer release", sign(text+"extension\n", signer), event.ErrNewer},
		{"nothing", nil, event.ErrMalformed},
		{"no signature", []byte(text), event.ErrMalformed},
		{"an empty signature block", []byte(text + "\n"), ErrSignature},
		{"no root", sign("o\n5\n", signer), event.ErrMalformed},
		{"no origin", sign("\n5\n"+root+"\n", signer), event.ErrMalformed},
		{"a leading zero", sign(testOrigin+"\n05\n"+root+"\n", signer), event.ErrMalformed},
		{"a sign", sign(testOrigin+"\n+5\n"+root+"\n", signer), event.ErrMalformed},
		{"a negative size", sign(testOrigin+"\n-5\n"+root+"\n", signer), event.ErrMalformed},
		{"a huge size", sign(testOrigin+"\n9223372036854775807\n"+root+"\n", signer), event.ErrMalformed},
		{"a short root", sign(testOrigin+"\n5\nAAAA\n", signer), event.ErrMalformed},
		{"a root with stray bits", sign(testOrigin+"\n5\n"+root[:42]+"B=\n", signer), event.ErrMalformed},
		{"a long one", append(bytes.Clone(good), bytes.Repeat([]byte("x"), maxCheckpointBytes)...), event.ErrMalformed},
	} {
		got, err := OpenCheckpoint(c.msg, testOrigin, keys)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if err == nil && (got.Tree != tr || got.Origin != testOrigin || !bytes.Equal(got.Note, c.msg)) {
			t.Errorf("%s: read as %v", c.name, got)
		}
	}
	if _, err := OpenCheckpoint(good, testOrigin, nil); !errors.Is(err, ErrSignature) {
		t.Errorf("believed without a key: %v", err)
	}
	if _, err := OpenCheckpoint(good, testOrigin, note.VerifierList(otherVerifier)); !errors.Is(err, ErrSignature) {
		t.Errorf("believed by another key: %v", err)
	}
}
