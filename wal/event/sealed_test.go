package event

import "testing"

// TestSealedSize pins the lengths and their inverse around every border.
func TestSealedSize(t *testing.T) {
	for _, c := range []struct{ plain, sealed uint64 }{
		{0, 0}, {1, 17}, {65535, 65551}, {65536, 65552}, {65537, 65569}, {131072, 131104}, {5 << 30, 5<<30 + 81920*16},
	} {
		if got := SealedSize(c.plain); got != c.sealed {
			t.Errorf("SealedSize(%d) = %d, want %d", c.plain, got, c.sealed)
		}
		if got, ok := PlainSize(c.sealed); !ok || got != c.plain {
			t.Errorf("PlainSize(%d) = %d, %v, want %d", c.sealed, got, ok, c.plain)
		}
	}
	for n := range uint64(3 * (SealedChunkBytes + SealedTagBytes)) {
		if plain, ok := PlainSize(n); ok && SealedSize(plain) != n {
			t.Fatalf("%d bytes are taken for %d plain ones, which seal to %d", n, plain, SealedSize(plain))
		}
	}
	for _, n := range []uint64{1, 15, 16, 65552 + 1, 65552 + 16} {
		if plain, ok := PlainSize(n); ok {
			t.Errorf("%d bytes are taken for %d plain ones", n, plain)
		}
	}
}

// TestPlainBytes takes sizes as they are where nothing is sealed.
func TestPlainBytes(t *testing.T) {
	var none *Encryption
	sealed := &Encryption{Kind: EncryptionKind_ENCRYPTION_KIND_CUSTOMER}
	if none.Sealed() || (&Encryption{}).Sealed() || !sealed.Sealed() {
		t.Error("Sealed is wrong")
	}
	if none.PlainBytes(17) != 17 || sealed.PlainBytes(17) != 1 || sealed.PlainBytes(16) != 0 {
		t.Error("PlainBytes is wrong")
	}
}
