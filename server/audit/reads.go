package audit

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/reads"
)

// ReadsDir is where a node's log of reads is, below its directory.
const ReadsDir = "reads"

// ReadsOrigin is the origin of the checkpoints of a node's log of reads: signed with the
// ledger's key, under another name.
func ReadsOrigin(origin string, node uint32) string {
	return origin + "/reads/" + strconv.FormatUint(uint64(node), 10)
}

// notesReads is the kind of events that vouch for logs of reads.
var notesReads = (&event.Statement{Body: &event.Statement_ReadsNoted{}}).Kind()

// NotedReads tells what an event vouches for of a node's log of reads; false: nothing.
func NotedReads(r *ledger.Record) (node uint32, head tlog.Tree, ok bool, err error) {
	env := &event.Envelope{}
	if err := event.Decode(r.Envelope, env); err != nil {
		return 0, head, false, fmt.Errorf("audit: event %d: %w", r.Seq, err)
	}
	if env.Kind != notesReads || env.Refusal != event.Refusal_REFUSAL_NONE {
		return 0, head, false, nil
	}
	s := &event.Statement{}
	if err := event.Decode(r.Statement, s); err != nil {
		return 0, head, false, fmt.Errorf("audit: event %d: %w", r.Seq, err)
	}
	b := s.GetReadsNoted()
	if len(b.GetRoot()) != tlog.HashSize {
		return 0, head, false, fmt.Errorf("audit: event %d: %w: a root of %d bytes", r.Seq, event.ErrMalformed, len(b.GetRoot()))
	}
	return b.Node, tlog.Tree{N: int64(b.Size), Hash: tlog.Hash(b.Root)}, true, nil
}

// Read is a record of a log of reads in words.
type Read struct {
	Record    uint64    `json:"record"`
	Time      time.Time `json:"time"` // when it was answered, by the node's clock
	Began     time.Time `json:"began,omitzero"`
	Kind      string    `json:"kind"` // "read", "copy_source", or what the log says of itself
	Operation string    `json:"operation,omitempty"`
	Actor     string    `json:"actor,omitempty"`
	ActorName string    `json:"actor_name,omitempty"`
	BucketID  uint64    `json:"bucket_id,omitempty"`
	Bucket    string    `json:"bucket,omitempty"`
	Key       string    `json:"key,omitempty"`
	Version   string    `json:"version,omitempty"` // as it was asked for
	Range     string    `json:"range,omitempty"`   // likewise
	Made      *uint64   `json:"made_by,omitempty"` // the event that made what was read
	AsOf      uint64    `json:"as_of,omitempty"`   // the last event that counted
	Status    uint32    `json:"status,omitempty"`
	Code      string    `json:"code,omitempty"`
	Why       Why       `json:"why,omitzero"`
	Sent      uint64    `json:"sent"`
	Broken    bool      `json:"broken,omitempty"`
	Client    *Client   `json:"client,omitempty"`
	Request   string    `json:"request_id,omitempty"`
	Erased    int       `json:"erased,omitempty"`
	// Of what the log says of itself.
	Reads       uint64 `json:"reads,omitempty"`   // dropped
	Records     uint64 `json:"records,omitempty"` // expired or erased
	From        uint64 `json:"from,omitempty"`    // of expired records the first
	Event       uint64 `json:"event,omitempty"`   // the erasure
	Vouched     uint64 `json:"vouched,omitempty"` // records that the ledger vouched for
	Incarnation uint64 `json:"incarnation,omitempty"`
	Torn        uint64 `json:"torn_bytes,omitempty"`
}

// Read puts a record of a read into words.
func (w *Words) Read(r *ledger.Record) (*Read, error) {
	e, err := reads.Decode(r)
	if err != nil {
		return nil, err
	}
	d := e.Read
	x := &Read{
		Record: r.Seq, Time: time.Unix(0, e.Envelope.Time).UTC(), Kind: lower(d.Kind), Operation: d.Operation, Actor: e.Envelope.Principal,
		BucketID: d.Bucket, Version: d.Version, Range: d.Range, Status: d.Status, Code: d.Code, Sent: d.Sent, Broken: d.Broken,
		Request: hex.EncodeToString(e.Envelope.RequestId), Vouched: d.NotedSize, Incarnation: d.Incarnation, Torn: d.Torn,
	}
	if x.Actor == "" {
		x.Actor = "anonymous"
	}
	if d.Began != 0 {
		x.Began = time.Unix(0, d.Began).UTC()
	}
	if d.AsOf > 0 {
		x.AsOf = d.AsOf - 1
	}
	if d.Object != nil {
		x.Made = &d.Object.Seq
	}
	if p := d.Reason; p != nil {
		x.Why = Why{By: lower(p.Kind), Policy: p.Policy, Statement: p.Statement, Position: p.Position, View: p.View}
	}
	switch d.Kind {
	case event.ReadKind_READ_KIND_DROPPED:
		x.Reads = d.Records
	case event.ReadKind_READ_KIND_ERASED:
		x.Records, x.Event = d.Records, d.From
	default:
		x.Records, x.From = d.Records, d.From
	}
	for i := range e.Items {
		if e.Items[i] == nil {
			x.Erased++
		}
	}
	if b, ok := e.Item(event.ItemKind_ITEM_KIND_KEY); ok {
		x.Key = string(b)
	}
	if b, ok := e.Item(event.ItemKind_ITEM_KIND_CLIENT); ok {
		c := &event.Client{}
		if err := event.Decode(b, c); err != nil {
			return nil, fmt.Errorf("audit: record %d: %w", r.Seq, err)
		}
		x.Client = &Client{Address: c.Address, UserAgent: c.UserAgent, AccessKey: c.AccessKey}
	}
	if b, ok := e.Item(event.ItemKind_ITEM_KIND_BUCKET_NAME); ok {
		x.Bucket = string(b)
	}
	return x, w.nameReader(x, e.Envelope.Principal)
}

// nameReader gives the reader the name that it has now.
func (w *Words) nameReader(x *Read, id string) error {
	who, ok := w.actors[id]
	if !ok {
		var err error
		if who, err = w.actor(id); err != nil {
			return err
		}
		remember(w.actors, id, who)
	}
	x.ActorName = who.name
	return nil
}

// ReadFilter says which reads are asked for. What is empty does not filter; what the log
// says of itself is asked for unless something filters by bucket, key, actor or operation.
type ReadFilter struct {
	From       uint64    // a record
	Since      time.Time // when they were answered
	Until      time.Time // not among them
	Bucket     string    // its name, or "#" and its id
	Key        string
	Prefix     string
	Actor      string // an id, a name that somebody has now, or the key id that signed
	Operations []string
	Refused    bool // only what was refused, or not there
}

// Takes tells whether a read is asked for; it does not look at From.
func (f *ReadFilter) Takes(x *Read) bool {
	signed := ""
	if x.Client != nil {
		signed = x.Client.AccessKey
	}
	switch {
	case !f.Since.IsZero() && x.Time.Before(f.Since), !f.Until.IsZero() && !x.Time.Before(f.Until):
	case f.Bucket != "" && f.Bucket != x.Bucket && (x.BucketID == 0 || f.Bucket != "#"+strconv.FormatUint(x.BucketID, 10)):
	case f.Key != "" && f.Key != x.Key:
	case f.Prefix != "" && (x.Key == "" || !strings.HasPrefix(x.Key, f.Prefix)):
	case f.Actor != "" && f.Actor != x.Actor && f.Actor != x.ActorName && f.Actor != signed:
	case len(f.Operations) > 0 && !slices.Contains(f.Operations, x.Operation):
	case f.Refused && (x.Code == "" || x.Status < 400):
	default:
		return true
	}
	return false
}
