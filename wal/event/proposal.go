package event

import (
	"crypto/rand"
	"fmt"

	"google.golang.org/protobuf/proto"

	"ironman/wal/digest"
)

// Draft is a proposal being written: a statement and its payload.
type Draft struct {
	Statement *Statement
	Items     []*Item
}

// NewDraft begins a proposal. The header's base and node are filled in by whoever
// proposes it; a missing request id is drawn there.
func NewDraft(h *Header, b isStatement_Body) *Draft {
	return &Draft{Statement: &Statement{Header: h, Body: b}}
}

// Add appends a payload item with a fresh salt. An empty value adds nothing.
func (d *Draft) Add(kind ItemKind, ordinal int, value []byte) *Draft {
	if len(value) == 0 {
		return d
	}
	d.Items = append(d.Items, &Item{Kind: kind, Ordinal: uint32(ordinal), Value: value})
	return d
}

// AddText appends a text item.
func (d *Draft) AddText(kind ItemKind, ordinal int, value string) *Draft {
	return d.Add(kind, ordinal, []byte(value))
}

// AddMessage appends an item that holds a message in canonical form.
func (d *Draft) AddMessage(kind ItemKind, ordinal int, m proto.Message) *Draft {
	return d.Add(kind, ordinal, Canonical(m))
}

// Marshal gives the proposal's bytes: once, for they are never re-encoded. It
// draws the salts.
func (d *Draft) Marshal() ([]byte, error) {
	p := &Proposal{Statement: Canonical(d.Statement)}
	salts := make([]byte, SaltBytes*len(d.Items))
	rand.Read(salts) // never fails (crypto/rand)
	for i, it := range d.Items {
		it.Salt = salts[i*SaltBytes : (i+1)*SaltBytes]
		p.Items = append(p.Items, Canonical(it))
	}
	b := Canonical(p)
	if len(b) > MaxProposalBytes {
		return nil, fmt.Errorf("event: proposal of %d bytes exceeds %d", len(b), MaxProposalBytes)
	}
	return b, nil
}

// Parsed is a decoded proposal with the bytes it came from.
type Parsed struct {
	Statement *Statement
	Items     []*Item
	// The raw bytes, aliasing the proposal's.
	StatementBytes []byte
	ItemBytes      [][]byte
}

// Parse decodes a proposal strictly. The result aliases b.
func Parse(b []byte) (*Parsed, error) {
	if len(b) > MaxProposalBytes {
		return nil, fmt.Errorf("%w: proposal of %d bytes", ErrMalformed, len(b))
	}
	raw := &Proposal{}
	if err := Decode(b, raw); err != nil {
		return nil, err
	}
	if len(raw.Items) > MaxItems {
		return nil, fmt.Errorf("%w: proposal of %d items", ErrMalformed, len(raw.Items))
	}
	p := &Parsed{Statement: &Statement{}, StatementBytes: raw.Statement, ItemBytes: raw.Items}
	if err := Decode(raw.Statement, p.Statement); err != nil {
		return nil, err
	}
	if len(p.Statement.GetHeader().GetRequestId()) != RequestIDBytes {
		return nil, fmt.Errorf("%w: request id of %d bytes", ErrMalformed, len(p.Statement.GetHeader().GetRequestId()))
	}
	if p.Statement.Body == nil {
		return nil, fmt.Errorf("%w: event without a body", ErrMalformed)
	}
	for _, ib := range raw.Items {
		it := &Item{}
		if err := Decode(ib, it); err != nil {
			return nil, err
		}
		p.Items = append(p.Items, it)
	}
	return p, nil
}

// Kind is the field number of the statement's body, the kind in envelopes; 0
// without a body.
func (s *Statement) Kind() uint32 {
	m := s.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("body"))
	if fd == nil {
		return 0
	}
	return uint32(fd.Number())
}

// KindName names a kind as the schema does ("object_put"), or "" if unknown.
func KindName(kind uint32) string {
	d := (&Statement{}).ProtoReflect().Descriptor()
	for i := range d.Fields().Len() {
		if fd := d.Fields().Get(i); uint32(fd.Number()) == kind && fd.ContainingOneof() != nil {
			return string(fd.Name())
		}
	}
	return ""
}

// Item returns the value of the item of a kind and ordinal.
func (p *Parsed) Item(kind ItemKind, ordinal int) ([]byte, bool) {
	for _, it := range p.Items {
		if it.Kind == kind && it.Ordinal == uint32(ordinal) {
			return it.Value, true
		}
	}
	return nil, false
}

// Text is Item as a string; "" if there is none.
func (p *Parsed) Text(kind ItemKind, ordinal int) string {
	v, _ := p.Item(kind, ordinal)
	return string(v)
}

// ItemsHash is the envelope's commitment to the payload.
func (p *Parsed) ItemsHash() digest.Sum {
	hashes := make([]digest.Sum, len(p.ItemBytes))
	for i, b := range p.ItemBytes {
		hashes[i] = ItemHash(b)
	}
	return ItemsHash(hashes)
}
