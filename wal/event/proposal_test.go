package event

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func header() *Header { return &Header{FeatureLevel: 1, RequestId: []byte("0123456789abcdef")} }

func aborted() *Statement_UploadAborted { return &Statement_UploadAborted{&UploadAborted{Bucket: 7}} }

func TestDraftReadsBack(t *testing.T) {
	d := NewDraft(header(), aborted()).
		AddText(ItemKind_ITEM_KIND_KEY, 0, "k").Add(ItemKind_ITEM_KIND_KEY, 1, []byte{0xff}).
		Add(ItemKind_ITEM_KIND_DOCUMENT, 0, nil).AddMessage(ItemKind_ITEM_KIND_TAGS, 0, &Tags{}). // nothing to add
		AddMessage(ItemKind_ITEM_KIND_CLIENT, 0, &Client{Address: "::1"})
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(p.Statement, d.Statement) || len(p.Items) != 3 {
		t.Fatalf("read back %v, %v", p.Statement, p.Items)
	}
	if p.Text(ItemKind_ITEM_KIND_KEY, 0) != "k" || p.Text(ItemKind_ITEM_KIND_KEY, 1) != "\xff" || p.Text(ItemKind_ITEM_KIND_KEY, 2) != "" {
		t.Errorf("keys read back as %v", p.Items)
	}
	if _, ok := p.Item(ItemKind_ITEM_KIND_DOCUMENT, 0); ok {
		t.Error("an empty document is there")
	}
	salts := make(map[string]bool)
	for i, it := range p.Items {
		salts[string(it.Salt)] = true
		if !bytes.Equal(Canonical(it), p.ItemBytes[i]) || !bytes.Equal(p.ItemBytes[i][2:18], it.Salt) {
			t.Errorf("item %d does not begin with its salt: %x", i, p.ItemBytes[i])
		}
	}
	if len(salts) != 3 {
		t.Error("salts repeat")
	}
	statement, items := Split(b)
	if !bytes.Equal(statement, Canonical(d.Statement)) || len(items) != 3 || p.ItemsHash() != ItemsHash([][32]byte{ItemHash(items[0]), ItemHash(items[1]), ItemHash(items[2])}) {
		t.Error("Split and Parse differ")
	}
}

func TestDraftRefuses(t *testing.T) {
	many := NewDraft(header(), aborted())
	for i := range MaxItems + 1 {
		many.AddText(ItemKind_ITEM_KIND_KEY, i, "k")
	}
	long := header()
	long.Principal = strings.Repeat("p", MaxPrincipalBytes+1)
	for name, d := range map[string]*Draft{
		"no header":           NewDraft(nil, aborted()),
		"no request id":       NewDraft(&Header{}, aborted()),
		"short request id":    NewDraft(&Header{RequestId: []byte("short")}, aborted()),
		"no body":             NewDraft(header(), nil),
		"long principal":      NewDraft(long, aborted()),
		"text not UTF-8":      NewDraft(&Header{RequestId: make([]byte, 16), Operation: "\xff"}, aborted()),
		"item not UTF-8":      NewDraft(header(), aborted()).AddMessage(ItemKind_ITEM_KIND_TAGS, 0, &Tags{Tags: []*Tag{{Key: "\xff"}}}),
		"item without a kind": NewDraft(header(), aborted()).AddText(0, 0, "x"),
		"two keys":            NewDraft(header(), aborted()).AddText(ItemKind_ITEM_KIND_KEY, 1, "x").AddText(ItemKind_ITEM_KIND_KEY, 1, "y"),
		"too large":           NewDraft(header(), aborted()).Add(ItemKind_ITEM_KIND_DOCUMENT, 0, make([]byte, MaxProposalBytes)),
		"too many":            many,
	} {
		if b, err := d.Marshal(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

// Parse takes nothing that Marshal would not give.
func TestParseRefuses(t *testing.T) {
	statement := Canonical(&Statement{Header: header(), Body: aborted()})
	item := func(salt int, kind ItemKind) []byte {
		return Canonical(&Item{Salt: make([]byte, salt), Kind: kind, Value: []byte("v")})
	}
	key := ItemKind_ITEM_KIND_KEY
	field := func(n protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
	}
	whole := Canonical(&Proposal{Statement: statement, Items: [][]byte{item(16, key)}})
	if _, err := Parse(whole); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		b     []byte
		want  error
		whole bool // Split takes it for no proposal at all
	}{
		"nothing":               {nil, ErrMalformed, false},
		"two statements":        {append(field(1, statement), whole...), ErrMalformed, true},
		"torn":                  {whole[:len(whole)-1], ErrMalformed, true},
		"newer proposal":        {append(bytes.Clone(whole), field(3, nil)...), ErrNewer, true},
		"newer and torn":        {append(field(3, nil), 0x0a, 9), ErrMalformed, true},
		"statement of a number": {[]byte{0x08, 1}, ErrNewer, true},
		"newer statement":       {Canonical(&Proposal{Statement: append(bytes.Clone(statement), field(500, nil)...)}), ErrNewer, false},
		"newer item":            {Canonical(&Proposal{Statement: statement, Items: [][]byte{append(item(16, key), field(9, nil)...)}}), ErrNewer, false},
		"unknown item kind":     {Canonical(&Proposal{Statement: statement, Items: [][]byte{item(16, 77)}}), ErrNewer, false},
		"item without kind":     {Canonical(&Proposal{Statement: statement, Items: [][]byte{item(16, 0)}}), ErrMalformed, false},
		"item without salt":     {Canonical(&Proposal{Statement: statement, Items: [][]byte{item(0, key)}}), ErrMalformed, false},
		"item of a long salt":   {Canonical(&Proposal{Statement: statement, Items: [][]byte{item(17, key)}}), ErrMalformed, false},
		"an item twice":         {Canonical(&Proposal{Statement: statement, Items: [][]byte{item(16, key), item(16, key)}}), ErrMalformed, false},
		"too many items":        {Canonical(&Proposal{Statement: statement, Items: make([][]byte, MaxItems+1)}), ErrMalformed, true},
		"too large":             {field(1, make([]byte, MaxProposalBytes)), ErrMalformed, true},
		"no body":               {field(1, Canonical(&Statement{Header: header()})), ErrMalformed, false},
	} {
		if p, err := Parse(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		if s, items := Split(c.b); c.whole && (!bytes.Equal(s, c.b) || items != nil) {
			t.Errorf("%s: Split gives %x, %x", name, s, items)
		}
	}
}

func TestKind(t *testing.T) {
	if k := (&Statement{}).Kind(); k != 0 || KindName(k) != "" {
		t.Errorf("no body is kind %d %q", k, KindName(k))
	}
	if KindName(1) != "" || KindName(103) != "" || KindName(64) != "object_put" {
		t.Error("names of kinds")
	}
}

// FuzzParse: a proposal reads, or it does not; it never panics, and what it
// commits to does not depend on how it was read.
func FuzzParse(f *testing.F) {
	for _, body := range bodies() {
		f.Add(golden(body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			if errors.Is(err, ErrMalformed) == errors.Is(err, ErrNewer) {
				t.Fatalf("neither or both: %v", err)
			}
			return
		}
		statement, items := Split(b)
		if !bytes.Equal(statement, p.StatementBytes) || len(items) != len(p.Items) {
			t.Fatal("Split and Parse differ")
		}
		// Bytes that parse are at least those of a proposal that Marshal gives.
		d := &Draft{Statement: p.Statement, Items: p.Items}
		if _, err := d.Marshal(); err != nil {
			t.Fatalf("parsed but not marshalled: %v", err)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	f.Add(AppendEntry(nil, 1780000000e9, golden(aborted())))
	f.Add([]byte{1})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		stamp, proposal, err := ParseEntry(b)
		if err == nil && !bytes.Equal(AppendEntry(nil, stamp, proposal), b) {
			t.Fatalf("%x does not read back", b)
		}
	})
}
