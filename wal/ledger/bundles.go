package ledger

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// bundles reads and writes the bundles below one directory. Reading is safe for
// concurrent use.
type bundles struct {
	*files
	codec *codec
}

// entries reads the n-th bundle of envelopes, of width entries. What could be read
// before an error is returned with it.
func (b *bundles) entries(n uint64, width int) ([][]byte, error) {
	rel := EntriesPath(n, width)
	data, err := b.read(rel, maxEntriesBytes)
	if err != nil {
		return nil, err
	}
	entries, err := splitEntries(data, width)
	if err != nil {
		return entries, fmt.Errorf("%s: %w", rel, err)
	}
	return entries, nil
}

// payloads opens the n-th payload bundle, of width entries.
func (b *bundles) payloads(n uint64, width int) (*payloadFile, error) {
	rel := PayloadPath(n, width)
	file, size, err := b.open(rel)
	if err != nil {
		return nil, err
	}
	pr, err := newPayloadReader(file, size, b.codec, n*BundleSize, width)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", rel, err)
	}
	return &payloadFile{payloadReader: pr, file: file, rel: rel, size: size}, nil
}

// writePayloads writes the n-th payload bundle, of width entries, that next gives.
func (b *bundles) writePayloads(n uint64, width int, next func() (Payload, error)) error {
	return b.create(PayloadPath(n, width), func(w io.Writer) error {
		pw, err := newPayloadWriter(w, b.codec, n*BundleSize, width)
		if err != nil {
			return err
		}
		for range width {
			p, err := next()
			if err != nil {
				return err
			}
			if err := pw.add(&p); err != nil {
				return err
			}
		}
		return nil
	})
}

// payloadFile is a payload bundle being read.
type payloadFile struct {
	*payloadReader
	file vfs.File
	rel  string
	size int64 // of the file
}

// read gives the payload of the next sequence; io.EOF after the last.
func (p *payloadFile) read() (Payload, error) {
	payload, err := p.payloadReader.read()
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", p.rel, err)
	}
	return payload, err
}

// skip passes over the next n payloads.
func (p *payloadFile) skip(n int) error {
	if err := p.payloadReader.skip(n); err != nil {
		return fmt.Errorf("%s: %w", p.rel, err)
	}
	return nil
}

// Close closes the file.
func (p *payloadFile) Close() { p.file.Close() }

// bundleOf gives the number of the bundle that a sequence is in and its place there.
func bundleOf(seq uint64) (n uint64, i int) {
	return seq / BundleSize, int(seq % BundleSize)
}

// payloadsOf gives the payloads of records, one by one.
func payloadsOf(records []Record) func() (Payload, error) {
	return func() (Payload, error) {
		if len(records) == 0 {
			return Payload{}, io.EOF
		}
		p := records[0].Payload
		records = records[1:]
		return p, nil
	}
}
