package event

import (
	"cmp"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestVersionID(t *testing.T) {
	for _, c := range []struct {
		v  *Version
		id string
	}{
		{nil, ""},
		{&Version{}, "00000000000000000000"},
		{&Version{Seq: 1}, "00000000000020000000"},
		{&Version{Seq: 1, Ordinal: 1}, "0000000000002000000g"},
		{&Version{Seq: math.MaxUint64, Ordinal: math.MaxUint32}, "vvvvvvvvvvvvvvvvvvvg"},
	} {
		if got := c.v.ID(); got != c.id {
			t.Errorf("%v: %q, want %q", c.v, got, c.id)
		}
		if back, ok := ParseVersionID(c.id); ok != (c.v != nil) || ok && !back.Same(c.v) {
			t.Errorf("%q reads as %v, %v", c.id, back, ok)
		}
	}
}

func TestVersionIDOrder(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) *Version {
		return &Version{Seq: rapid.Uint64().Draw(t, "seq"), Ordinal: rapid.Uint32().Draw(t, "ordinal")}
	})
	rapid.Check(t, func(t *rapid.T) {
		v, w := draw.Draw(t, "v"), draw.Draw(t, "w")
		if rapid.Bool().Draw(t, "same seq") {
			w.Seq = v.Seq
		}
		if len(v.ID()) != VersionIDBytes {
			t.Fatalf("%q", v.ID())
		}
		want := cmp.Or(cmp.Compare(v.Seq, w.Seq), cmp.Compare(v.Ordinal, w.Ordinal))
		if strings.Compare(v.ID(), w.ID()) != want || v.Same(w) != (want == 0) {
			t.Fatalf("%v %q and %v %q", v, v.ID(), w, w.ID())
		}
		if back, ok := ParseVersionID(v.ID()); !ok || !back.Same(v) {
			t.Fatalf("%q reads as %v", v.ID(), back)
		}
	})
}

func TestParseVersionIDRefuses(t *testing.T) {
	good := (&Version{Seq: 77, Ordinal: 5}).ID()
	for _, s := range []string{
		"", "null", good[1:], good + "0", strings.ToUpper((&Version{Seq: math.MaxUint64}).ID()),
		good[:19] + "1", // an unused bit
		good[:19] + "w", good[:10] + "\n" + good[11:], good[:18] + "é", strings.Repeat("=", 20), strings.Repeat("ı", 10),
	} {
		if v, ok := ParseVersionID(s); ok {
			t.Errorf("%q reads as %v", s, v)
		}
	}
}

func TestSame(t *testing.T) {
	var none *Version
	if !none.Same(nil) || none.Same(&Version{}) || (&Version{}).Same(nil) || !version(1).Same(version(1)) || version(1).Same(version(2)) {
		t.Error("unset equals only unset, and equal versions are equal")
	}
}

func TestBlobKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &BlobID{Incarnation: rapid.Uint64().Draw(t, "incarnation"), Counter: rapid.Uint64().Draw(t, "counter")}
		if back := BlobIDFromKey(b.Key()); back.Incarnation != b.Incarnation || back.Counter != b.Counter {
			t.Fatalf("%v reads back as %v", b, back)
		}
	})
	var none *BlobID
	if none.Key() != ([16]byte{}) {
		t.Error("the key of nothing")
	}
}

func FuzzParseVersionID(f *testing.F) {
	f.Add("")
	f.Add("null")
	f.Add(version(1 << 40).ID())
	f.Add("vvvvvvvvvvvvvvvvvvvg")
	f.Fuzz(func(t *testing.T, s string) {
		if v, ok := ParseVersionID(s); ok && v.ID() != s {
			t.Fatalf("%q reads as %v, which is %q", s, v, v.ID())
		}
	})
}
