package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"ironman/wal/digest"
)

// A sealed document is JSON, a line end, and a last line with the SHA-256 of all before it,
// in hexadecimal.
const maxSealed = 256 << 20

func seal(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	sum := digest.SHA256(b)
	return append(hex.AppendEncode(b, sum[:]), '\n'), nil
}

// unseal reads a document strictly: what has a field that is not known is not understood.
func unseal(name string, b []byte, v any) error {
	const tail = 2*digest.SHA256Size + 1
	if len(b) < tail || b[len(b)-1] != '\n' {
		return damaged(name, "it is cut off")
	}
	body := b[:len(b)-tail]
	sum := digest.SHA256(body)
	if !bytes.Equal(hex.AppendEncode(nil, sum[:]), b[len(body):len(b)-1]) {
		return damaged(name, "its bytes have another SHA-256 than its last line says")
	}
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(body, &format); err != nil {
		return damaged(name, "%v", err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if format.Format != 1 { // of all documents so far
			return newer(name, format.Format)
		}
		return damaged(name, "%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return damaged(name, "there is more behind its end")
	}
	return nil
}

func newer(name string, format int) error {
	return fmt.Errorf("%w: %s has format %d", ErrNewer, name, format)
}

func readSealed(ctx context.Context, t Target, name string, v any) error {
	b, err := readAll(ctx, t, name, maxSealed)
	if err != nil {
		return err
	}
	return unseal(name, b, v)
}

func putSealed(ctx context.Context, t Target, name string, v any) error {
	b, err := seal(v)
	if err != nil {
		return err
	}
	return t.Put(ctx, name, contentOf(b))
}
