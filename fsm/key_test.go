package fsm

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ironman/wal/event"
)

var anyName = rapid.Custom(func(t *rapid.T) string {
	return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xfe, 0xff}), 0, 6).Draw(t, "name"))
})

// TestEscaped: escaping keeps order, ends, and reads back.
func TestEscaped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyName.Draw(t, "a"), anyName.Draw(t, "b")
		x, y := appendEscaped(nil, a), appendEscaped(nil, b)
		if strings.Compare(a, b) != bytes.Compare(x, y) || a != b && bytes.HasPrefix(y, x) {
			t.Fatalf("%q and %q become %x and %x", a, b, x, y)
		}
		tail := []byte(anyName.Draw(t, "tail"))
		if s, rest, ok := cutEscaped(append(x, tail...)); !ok || string(s) != a || !bytes.Equal(rest, tail) {
			t.Fatalf("%q reads back as %q, %x, %v", a, s, rest, ok)
		}
		// The history of a prefix holds the histories of all that begin with it, and no others.
		p := historyPrefix([]byte(b))
		h := historyKey([]byte(a), 7)
		if strings.HasPrefix(a, b) != (bytes.Compare(h, p) >= 0 && bytes.Compare(h, after(p)) < 0) {
			t.Fatalf("history of %q and the prefix %q", a, b)
		}
	})
	for _, bad := range []string{"", "a", "a\x00", "a\x00\x02", "\x00\xff"} {
		if s, _, ok := cutEscaped([]byte(bad)); ok {
			t.Errorf("%q reads as %q", bad, s)
		}
	}
}

func TestAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, k := anyName.Draw(t, "prefix"), anyName.Draw(t, "key")
		end := after([]byte(p))
		in := k >= p && (end == nil || k < string(end))
		if in != strings.HasPrefix(k, p) {
			t.Fatalf("%q under %q up to %q", k, p, end)
		}
	})
}

// TestKeysApart: no two rows share a key, whatever their tables and parts.
func TestKeysApart(t *testing.T) {
	v, w := &event.Version{Seq: 1, Ordinal: 2}, &event.Version{Seq: 1, Ordinal: 3}
	id := &event.BlobID{Incarnation: 1, Counter: 2}
	pack := &event.PackID{Incarnation: 1, Counter: 2}
	keys := [][]byte{
		key(tableMeta), key(tableCluster), key32(tableNode, 1), key32(tableDisk, 1), key(tableIncarnation, 1), packKey(1, pack), packKey(2, pack),
		blobKey(tableBlob, id), blobKey(tableAbandoned, id), releaseBlobKey(1, id), releaseBlobKey(math.MaxInt64, id), releaseAssemblyKey(1, v),
		assemblyKey(v), assemblyKey(w), holdersKey(v), holdersKey(w), keyText(tableAccount, "a"), keyText(tableAccountID, "a"), keyText(tableEmail, "a"), keyText(tableUser, "a"),
		nameKey("a", 1, "b"), nameKey("a", 2, "b"), nameKey("a\x00", 1, "b"), memberKey("a", "b"), memberKey("a\x00", "b"), keyText(tablePolicy, "a"),
		policyNameKey("a", "b"), policyNameKey("a\x00", "b"), policyTextKey("a", 1), policyTextKey("a", 2), inlineKey("a", "b"), inlineKey("ab", ""),
		attachmentKey("a", useAttached, "b"), attachmentKey("a", useBoundary, "b"), keyOfKey("a", "", "b"), keyOfKey("a", "b", ""), keyText(tableVault, "a"),
		keyText(tableAccessKey, "a"), keyText(tableBucketName, "a"), key(tableBucket, 1), documentKey(1, 1), documentKey(1, 2), key(tableUsage, 1),
		objectKey(1, "a"), objectKey(1, "a\x00"), objectKey(2, "a"), uploadKey(1, "a", v), uploadKey(1, "a", w), uploadKey(1, "a\x00", v),
		partKey(v, 1), partKey(v, 2), partKey(w, 1), historyKey([]byte("a"), 1), historyKey([]byte("a"), 2), historyKey([]byte("a\x00"), 1),
		key32(tableReads, 1), key32(tableReads, 2), historyIndexKey(1, []byte("a")), historyIndexKey(2, []byte("a")), key(tableRequest, 1), key(tableTime, 1), key(tableLeaf, 1),
	}
	for i := range keys {
		for j := range keys[:i] {
			if bytes.Equal(keys[i], keys[j]) {
				t.Errorf("keys %d and %d are both %x", j, i, keys[i])
			}
		}
	}
}

// TestDigestArithmetic: sums of hashes commute and cancel, mod 2^256.
func TestDigestArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) StateDigest {
			var d StateDigest
			for i := range d {
				d[i] = rapid.SampledFrom([]uint64{0, 1, math.MaxUint64, rapid.Uint64().Draw(t, label)}).Draw(t, label)
			}
			return d
		}
		a, b := draw("a"), draw("b")
		ab, ba := a, b
		ab.add(b)
		ba.add(a)
		if ab != ba {
			t.Fatalf("%v and %v", ab, ba)
		}
		if ab.sub(b); ab != a {
			t.Fatalf("%v is not %v again", ab, a)
		}
		if digestFromBytes(a.Bytes()) != a || len(a.Bytes()) != 32 {
			t.Fatalf("%x", a.Bytes())
		}
	})
	one, zero := StateDigest{1}, StateDigest{}
	if zero.sub(one); zero != (StateDigest{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}) {
		t.Errorf("0 - 1 is %v", zero)
	}
}
