package ledger

import (
	"encoding/binary"
	"fmt"

	"ironman/wal/event"
)

// An entry bundle (https://c2sp.org/tlog-tiles, "Log entries") is nothing but its
// entries, 256 in a full one:
//
//	+-------------+----------+-------------+----------+-----+
//	| length      | envelope | length      | envelope | ... |
//	| 2 bytes, BE |          | 2 bytes, BE |          |     |
//	+-------------+----------+-------------+----------+-----+
//
// The format is the public one and has no version; envelopes do (an unknown
// field in one is "newer").
const maxEntriesBytes = BundleSize * (2 + MaxEnvelopeBytes)

// appendEntry appends an envelope of at most MaxEnvelopeBytes to a bundle.
func appendEntry(b, envelope []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(envelope)))
	return append(b, envelope...)
}

// cutEntry splits the first entry off a bundle.
func cutEntry(b []byte) (envelope, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, fmt.Errorf("%w: entry bundle ends in a length", event.ErrMalformed)
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) < n {
		return nil, nil, fmt.Errorf("%w: entry bundle ends in an entry", event.ErrMalformed)
	}
	return b[:n:n], b[n:], nil
}

// splitEntries decodes a bundle of width entries. They alias b. What could be
// read before an error is returned with it.
func splitEntries(b []byte, width int) ([][]byte, error) {
	entries := make([][]byte, 0, width)
	for range width {
		e, rest, err := cutEntry(b)
		if err != nil {
			return entries, err
		}
		entries, b = append(entries, e), rest
	}
	if len(b) != 0 {
		return entries, fmt.Errorf("%w: %d bytes after the entries of a bundle", event.ErrMalformed, len(b))
	}
	return entries, nil
}
