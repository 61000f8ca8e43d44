package event

import (
	"cmp"
	"crypto/rand"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"ironman/wal/digest"
)

// Draft is a proposal being written: a statement and its payload. For one goroutine.
type Draft struct {
	Statement *Statement
	Items     []*Item

	err error // the first that an Add met; Marshal returns it
}

// NewDraft begins a proposal. The header's base and node are filled in by whoever
// proposes it; a missing request id is drawn there.
func NewDraft(h *Header, b isStatement_Body) *Draft {
	return &Draft{Statement: &Statement{Header: h, Body: b}}
}

// Add appends a payload item. An empty value adds nothing.
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

// AddMessage appends an item that holds a message in canonical form. Text in it
// that is not UTF-8 makes Marshal fail.
func (d *Draft) AddMessage(kind ItemKind, ordinal int, m proto.Message) *Draft {
	b, err := canonical.Marshal(m)
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("%w: %s: %w", ErrMalformed, m.ProtoReflect().Descriptor().Name(), err)
	}
	return d.Add(kind, ordinal, b)
}

// Marshal gives the proposal's bytes: once, for they are never re-encoded. It
// draws the salts. What Parse would not read is an error.
func (d *Draft) Marshal() ([]byte, error) {
	if d.err != nil {
		return nil, d.err
	}
	statement, err := canonical.Marshal(d.Statement)
	if err != nil {
		return nil, fmt.Errorf("%w: statement: %w", ErrMalformed, err)
	}
	if err := d.Statement.valid(); err != nil {
		return nil, err
	}
	p := &Proposal{Statement: statement}
	salts := make([]byte, SaltBytes*len(d.Items))
	rand.Read(salts) // never fails (crypto/rand)
	for i, it := range d.Items {
		it.Salt = salts[i*SaltBytes : (i+1)*SaltBytes]
		p.Items = append(p.Items, Canonical(it))
	}
	if err := validItems(d.Items); err != nil {
		return nil, err
	}
	b := Canonical(p)
	if len(b) > MaxProposalBytes {
		return nil, fmt.Errorf("%w: proposal of %d bytes exceeds %d", ErrMalformed, len(b), MaxProposalBytes)
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

// Split takes a proposal apart without looking into its statement and items,
// which alias b. It never fails: of bytes that are no proposal, or of one above
// the limits, the statement is all of b. What an envelope commits to is always
// the hashes of what Split gives.
func Split(b []byte) (statement []byte, items [][]byte) {
	statement, items, err := split(b)
	if err != nil {
		return b, nil
	}
	return statement, items
}

func split(b []byte) (statement []byte, items [][]byte, err error) {
	if len(b) > MaxProposalBytes {
		return nil, nil, fmt.Errorf("%w: proposal of %d bytes", ErrMalformed, len(b))
	}
	whole := b
	for len(b) > 0 {
		num, wire, n := protowire.ConsumeTag(b)
		if n < 0 || wire != protowire.BytesType || num > 2 {
			// Sorts out which error it is.
			return nil, nil, cmp.Or(Decode(whole, &Proposal{}), ErrMalformed)
		}
		v, m := protowire.ConsumeBytes(b[n:])
		switch {
		case m < 0:
			return nil, nil, fmt.Errorf("%w: proposal: %w", ErrMalformed, protowire.ParseError(m))
		case num == 1 && statement != nil:
			return nil, nil, fmt.Errorf("%w: proposal of two statements", ErrMalformed)
		case num == 1:
			statement = v
		case len(items) == MaxItems:
			return nil, nil, fmt.Errorf("%w: proposal of more than %d items", ErrMalformed, MaxItems)
		default:
			items = append(items, v)
		}
		b = b[n+m:]
	}
	return statement, items, nil
}

// Parse decodes a proposal strictly.
func Parse(b []byte) (*Parsed, error) {
	statement, items, err := split(b)
	if err != nil {
		return nil, err
	}
	p := &Parsed{Statement: &Statement{}, StatementBytes: statement, ItemBytes: items, Items: make([]*Item, len(items))}
	if err := Decode(statement, p.Statement); err != nil {
		return nil, err
	}
	if err := p.Statement.valid(); err != nil {
		return nil, err
	}
	all := make([]Item, len(items))
	for i, ib := range items {
		p.Items[i] = &all[i]
		if err := Decode(ib, p.Items[i]); err != nil {
			return nil, err
		}
	}
	return p, validItems(p.Items)
}

// valid refuses what no envelope could be made of.
func (s *Statement) valid() error {
	h := s.GetHeader()
	switch {
	case len(h.GetRequestId()) != RequestIDBytes:
		return fmt.Errorf("%w: request id of %d bytes", ErrMalformed, len(h.GetRequestId()))
	case len(h.GetPrincipal()) > MaxPrincipalBytes:
		return fmt.Errorf("%w: principal id of %d bytes", ErrMalformed, len(h.GetPrincipal()))
	case s.GetBody() == nil:
		return fmt.Errorf("%w: event without a body", ErrMalformed)
	}
	return nil
}

// validItems refuses items without salt or kind, and two of one kind and ordinal.
func validItems(items []*Item) error {
	if len(items) > MaxItems {
		return fmt.Errorf("%w: %d items exceed %d", ErrMalformed, len(items), MaxItems)
	}
	type place struct {
		kind    ItemKind
		ordinal uint32
	}
	seen := make(map[place]bool, len(items))
	for _, it := range items {
		at := place{it.Kind, it.Ordinal}
		switch {
		case len(it.Salt) != SaltBytes:
			return fmt.Errorf("%w: salt of %d bytes", ErrMalformed, len(it.Salt))
		case it.Kind == ItemKind_ITEM_KIND_UNSPECIFIED:
			return fmt.Errorf("%w: item without a kind", ErrMalformed)
		case seen[at]:
			return fmt.Errorf("%w: two items %s %d", ErrMalformed, it.Kind, it.Ordinal)
		}
		seen[at] = true
	}
	return nil
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
