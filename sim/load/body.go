package load

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"ironman/wal/digest"
)

// A body begins with the name of its value and its length and goes on with bytes
// that both determine: whoever reads a body knows which it is, and whether it is whole.

// A value names a body: "c2.17.4096" is request 17 of client 2, with 4,096 bytes.
func newValue(client, request, size int) string {
	return fmt.Sprintf("c%d.%d.%d", client, request, size)
}

func sizeOf(value string) int {
	i := strings.LastIndexByte(value, '.')
	n, err := strconv.Atoi(value[i+1:])
	if i < 0 || err != nil {
		return -1
	}
	return n
}

// body is what a value stands for.
func body(value string) []byte {
	b := make([]byte, 0, max(sizeOf(value), len(value)+1))
	b = append(append(b, value...), '\n')
	rest := b[len(b):cap(b)]
	sum := digest.SHA256([]byte(value))
	rng := rand.NewChaCha8(sum)
	_, _ = rng.Read(rest) // it has no errors
	return b[:cap(b)]
}

// valueOf tells whose body this is. The error says what is wrong with it.
func valueOf(b []byte) (string, error) {
	head, _, ok := bytes.Cut(b[:min(len(b), 64)], []byte{'\n'})
	if !ok {
		return "", fmt.Errorf("%d bytes that are no body", len(b))
	}
	value := string(head)
	if sizeOf(value) < 0 {
		return "", fmt.Errorf("%d bytes of %q, which is no value", len(b), value)
	}
	want := body(value)
	if bytes.Equal(want, b) {
		return value, nil
	}
	n := 0
	for n < len(b) && n < len(want) && b[n] == want[n] {
		n++
	}
	return "", fmt.Errorf("the body of %s has %d bytes instead of %d, and differs from byte %d on", value, len(b), len(want), n)
}

// entityTag is that of a whole PUT of the value's body.
func entityTag(value string) string {
	h := digest.NewMD5()
	h.Write(body(value))
	return fmt.Sprintf("%x", h.Sum(nil))
}

// uploadTag is that of a completed upload of one part, by the part's.
func uploadTag(part string) (string, error) {
	whole, err := hex.DecodeString(part)
	if err != nil {
		return "", err
	}
	h := digest.NewMD5()
	h.Write(whole)
	return fmt.Sprintf("%x-1", h.Sum(nil)), nil
}
