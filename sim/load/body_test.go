package load

import (
	"strings"
	"testing"
)

// TestBody: a body tells whose it is, and any change of it shows.
func TestBody(t *testing.T) {
	for _, size := range []int{20, 64, 65, 5000, 70_000} {
		v := newValue(3, 17, size)
		b := body(v)
		if want := max(size, len(v)+1); len(b) != want {
			t.Fatalf("%s: %d bytes", v, len(b))
		}
		if got, err := valueOf(b); got != v || err != nil {
			t.Fatalf("%s is read as %q, %v", v, got, err)
		}
		for _, at := range []int{0, len(v), len(b) / 2, len(b) - 1} {
			c := append([]byte(nil), b...)
			c[at] ^= 1
			if got, err := valueOf(c); err == nil {
				t.Errorf("%s with byte %d changed is read as %s", v, at, got)
			}
		}
		if _, err := valueOf(b[:len(b)-1]); err == nil {
			t.Errorf("%s is read though it is cut short", v)
		}
		if _, err := valueOf(append(b[:len(b):len(b)], 0)); err == nil {
			t.Errorf("%s is read though it is too long", v)
		}
	}
	if string(body("c1.1.3000")) == string(body("c1.2.3000")) {
		t.Error("two values have one body")
	}
	for _, b := range []string{"", "\n", "c1.1.x\n", strings.Repeat("x", 100)} {
		if _, err := valueOf([]byte(b)); err == nil {
			t.Errorf("%q is read", b)
		}
	}
}
