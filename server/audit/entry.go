package audit

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Entry is a record in words.
type Entry struct {
	Seq       uint64    `json:"seq"`
	Time      time.Time `json:"time"` // log time
	Kind      string    `json:"kind"`
	Operation string    `json:"operation,omitempty"` // the client's, as Amazon names it
	Actor     string    `json:"actor,omitempty"`     // an opaque id; of a session with its name behind a colon; "anonymous"; "system": the store
	ActorName string    `json:"actor_name,omitempty"`
	Bucket    uint64    `json:"bucket_id,omitempty"`
	Name      string    `json:"bucket,omitempty"`
	Keys      []string  `json:"keys,omitempty"`
	SourceKey string    `json:"source_key,omitempty"`
	// SourceBucket is the bucket that a copy is from; SourceID is its id.
	SourceBucket string `json:"source_bucket,omitempty"`
	SourceID     uint64 `json:"source_bucket_id,omitempty"`
	Steps        []Step `json:"steps,omitempty"` // of a transaction: its operations, in order
	// Outcome is "accepted", or why not, as the schema names refusals.
	Outcome string   `json:"outcome"`
	Subs    []string `json:"outcomes,omitempty"` // of the keys, where they differ from accepted
	Version string   `json:"version,omitempty"`
	ETag    string   `json:"etag,omitempty"`
	Why     Why      `json:"why,omitzero"`
	Client  *Client  `json:"client,omitempty"`
	Request string   `json:"request_id,omitempty"`
	Node    uint32   `json:"node,omitempty"` // that proposed it
	Erased  int      `json:"erased,omitempty"`

	// ActorAccount is the canonical id of the account that the actor is, or belongs to; "": of none
	// that is there now.
	ActorAccount string `json:"-"`
	// Idle tells of each of the keys, if of any, that nothing happened to it: that part was
	// refused, or there was nothing to do.
	Idle []bool `json:"-"`
}

// Why is the rule that allowed an operation.
type Why struct {
	By        string `json:"by"` // as the schema names kinds of reasons
	Policy    string `json:"policy,omitempty"`
	Statement string `json:"statement,omitempty"`
	Position  uint32 `json:"position,omitempty"` // of the grant or statement, from 0
	View      uint64 `json:"view,omitempty"`     // events below it were seen when it was judged
}

// Step is one operation of a transaction.
type Step struct {
	What         string `json:"what"` // "put", "copy", "delete"
	Key          string `json:"key,omitempty"`
	SourceKey    string `json:"source_key,omitempty"` // of a copy
	SourceBucket string `json:"source_bucket,omitempty"`
	SourceID     uint64 `json:"source_bucket_id,omitempty"`
	Version      string `json:"version,omitempty"` // that was made, or removed
	ETag         string `json:"etag,omitempty"`
	Why          Why    `json:"why,omitzero"`

	Idle bool `json:"-"` // nothing happened to its key
}

// Client is where a request came from.
type Client struct {
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	AccessKey string `json:"access_key,omitempty"`
}

// decoded is a record, decoded.
type decoded struct {
	envelope event.Envelope
	outcome  event.Outcome
	parsed   event.Parsed
	client   *event.Client // nil: it does not tell
	erased   int
}

func decode(r *ledger.Record) (*decoded, error) {
	d := &decoded{parsed: event.Parsed{Statement: &event.Statement{}}}
	err := event.Decode(r.Envelope, &d.envelope)
	if err == nil && d.envelope.Kind != 0 { // 0: it was no proposal at all, and refused
		err = event.Decode(r.Statement, d.parsed.Statement)
	}
	if err == nil {
		err = event.Decode(r.Outcome, &d.outcome)
	}
	for i := range r.Items {
		if r.Items[i].Erased {
			d.erased++
			continue
		}
		it := &event.Item{}
		if err == nil && d.envelope.Kind != 0 {
			err = event.Decode(r.Items[i].Bytes, it)
			d.parsed.Items = append(d.parsed.Items, it)
		}
	}
	if b, ok := d.parsed.Item(event.ItemKind_ITEM_KIND_CLIENT, 0); ok && err == nil {
		d.client = &event.Client{}
		err = event.Decode(b, d.client)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: event %d: %w", r.Seq, err)
	}
	return d, nil
}

// lower is an enum's value without its enum's prefix: REFUSAL_NO_SUCH_KEY is no_such_key.
func lower(v protoreflect.Enum) string {
	d := v.Descriptor()
	name := ""
	if x := d.Values().ByNumber(v.Number()); x != nil {
		name = string(x.Name())
	}
	zero := string(d.Values().Get(0).Name())
	prefix := zero[:strings.LastIndexByte(zero, '_')+1]
	return strings.ToLower(strings.TrimPrefix(name, prefix))
}

func outcome(r event.Refusal) string {
	if r == event.Refusal_REFUSAL_NONE {
		return "accepted"
	}
	return lower(r)
}

// noProposal is the kind of an event whose bytes were no proposal at all.
const noProposal = "not_a_proposal"

// knownKind tells whether entries may have a kind.
func knownKind(name string) bool {
	body := (&event.Statement{}).ProtoReflect().Descriptor().Oneofs().ByName("body")
	return name == noProposal || body.Fields().ByName(protoreflect.Name(name)) != nil
}

// entry is all that the record itself tells.
func (d *decoded) entry(seq uint64) *Entry {
	env, h := &d.envelope, d.parsed.Statement.GetHeader()
	e := &Entry{
		Seq: seq, Time: time.Unix(0, env.Time).UTC(), Kind: event.KindName(env.Kind), Operation: h.GetOperation(), Actor: env.Principal,
		Outcome: outcome(env.Refusal), Request: hex.EncodeToString(env.RequestId), Node: h.GetNode(), Erased: d.erased,
		Why: why(h.GetReason()),
	}
	if e.Actor == "" {
		e.Actor = anonymous
	}
	if e.Kind == "" {
		e.Kind = noProposal
	}
	if v := d.outcome.Version; v != nil {
		e.Version = v.ID()
	}
	e.ETag = d.outcome.Etag
	e.Bucket, e.Name = d.bucket(seq), d.parsed.Text(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0)
	e.SourceKey = d.parsed.Text(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0)
	e.SourceID = d.source()
	var idle []bool
	for _, it := range d.parsed.Items {
		if it.Kind == event.ItemKind_ITEM_KIND_KEY {
			e.Keys = append(e.Keys, string(it.Value))
			idle = append(idle, d.idle(int(it.Ordinal)))
		}
	}
	if slices.Contains(idle, true) {
		e.Idle = idle
	}
	if e.Steps = d.steps(); e.Steps != nil {
		e.SourceKey = "" // it is a step's
	}
	if slices.ContainsFunc(d.outcome.Subs, func(s *event.SubOutcome) bool { return s.Refusal != event.Refusal_REFUSAL_NONE }) {
		for _, s := range d.outcome.Subs {
			e.Subs = append(e.Subs, outcome(s.Refusal))
		}
	}
	if c := d.client; c != nil {
		e.Client = &Client{Address: c.Address, UserAgent: c.UserAgent, AccessKey: c.AccessKey}
	}
	return e
}

func why(r *event.Reason) Why {
	return Why{By: lower(r.GetKind()), Policy: r.GetPolicy(), Statement: r.GetStatement(), Position: r.GetPosition(), View: r.GetView()}
}

// steps are the operations of a transaction.
func (d *decoded) steps() (steps []Step) {
	for i, op := range d.parsed.Statement.GetTransactionCommitted().GetOperations() {
		s := Step{What: "delete", Idle: d.idle(i), Key: d.parsed.Text(event.ItemKind_ITEM_KIND_KEY, i), Why: why(op.Reason)}
		switch {
		case op.Completed != nil:
			s.What, s.ETag = "put", op.Completed.Etag
		case op.Copied != nil:
			s.What, s.ETag, s.SourceID = "copy", op.Copied.Etag, op.Copied.GetSource().GetBucket()
			s.SourceKey = d.parsed.Text(event.ItemKind_ITEM_KIND_SOURCE_KEY, i)
		}
		if i < len(d.outcome.Subs) && d.outcome.Subs[i].Version != nil {
			s.Version = d.outcome.Subs[i].Version.ID()
		}
		steps = append(steps, s)
	}
	return steps
}

// idle tells whether nothing happened to the key of an ordinal.
func (d *decoded) idle(ordinal int) bool {
	if ordinal >= len(d.outcome.Subs) {
		return false
	}
	s := d.outcome.Subs[ordinal]
	return s.Refusal != event.Refusal_REFUSAL_NONE || s.Absent
}

// anonymous is the actor of what nobody signed.
const anonymous = "anonymous"

// source is the bucket that bytes were copied from; 0: none.
func (d *decoded) source() uint64 {
	switch b := d.parsed.Statement.GetBody().(type) {
	case *event.Statement_ObjectPut:
		return b.ObjectPut.GetSource().GetBucket()
	case *event.Statement_PartPut:
		return b.PartPut.GetSource().GetBucket()
	case *event.Statement_ObjectsRestored:
		return b.ObjectsRestored.GetSource()
	}
	return 0
}

// bucket is the bucket that an event is about; a bucket's id is the sequence of the event
// that made it. 0: none.
func (d *decoded) bucket(seq uint64) uint64 {
	if d.parsed.Statement.GetBucketCreated() != nil {
		if d.envelope.Refusal != event.Refusal_REFUSAL_NONE {
			return 0
		}
		return seq
	}
	return field(d.parsed.Statement, "bucket")
}

// field is a number in a statement's body; 0 if it has none of the name.
func field(s *event.Statement, name protoreflect.Name) uint64 {
	m := s.ProtoReflect()
	if fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("body")); fd != nil {
		b := m.Get(fd).Message()
		if f := b.Descriptor().Fields().ByName(name); f != nil && f.Kind() == protoreflect.Uint64Kind && !f.IsList() {
			return b.Get(f).Uint()
		}
	}
	return 0
}

// Detail is all of a record.
type Detail struct {
	Entry
	StateDigest string          `json:"state_digest"` // of the state that the event left
	LeafHash    string          `json:"leaf_hash"`    // RFC 6962
	Statement   json.RawMessage `json:"statement"`
	Items       []ItemDetail    `json:"items,omitempty"`
	Decided     json.RawMessage `json:"decided"` // the outcome
}

// ItemDetail is one erasable piece of an event.
type ItemDetail struct {
	Kind    string          `json:"kind,omitempty"`
	Ordinal uint32          `json:"ordinal,omitempty"`
	Text    string          `json:"text,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"` // of what is no text
	Hash    string          `json:"hash"`            // salted
	Erased  bool            `json:"erased,omitempty"`
}

// itemText is what an item says: as text, or as the message that it holds.
func itemText(it *event.Item) (string, json.RawMessage, error) {
	var m proto.Message
	switch it.Kind {
	case event.ItemKind_ITEM_KIND_HEADERS:
		m = &event.Headers{}
	case event.ItemKind_ITEM_KIND_TAGS:
		m = &event.Tags{}
	case event.ItemKind_ITEM_KIND_CLIENT:
		m = &event.Client{}
	default:
		return string(it.Value), nil, nil
	}
	if err := event.Decode(it.Value, m); err != nil {
		return "", nil, err
	}
	b, err := protojson.Marshal(m)
	return "", b, err
}
