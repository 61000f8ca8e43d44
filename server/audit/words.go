package audit

import (
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"ironman/fsm"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Words puts records into words, with the names that a state knows and, of buckets that
// are gone, the record. It remembers names, so it is for one goroutine and as long as its
// view is open.
type Words struct {
	view    *fsm.View
	record  func(seq uint64) (ledger.Record, error)
	buckets map[uint64]string
	actors  map[string]actor
}

// actor is what a state knows of who did something; zero: nothing.
type actor struct {
	name    string
	account string // the canonical id of the account that it is, or belongs to
}

// NewWords begins to put records into words. The view stays the caller's to close; without
// one (nil) nobody has a name.
func NewWords(v *fsm.View, record func(seq uint64) (ledger.Record, error)) *Words {
	return &Words{view: v, record: record, buckets: make(map[uint64]string), actors: make(map[string]actor)}
}

// Entry puts a record into words. That a name cannot be looked up now is an error: without
// it a filter would pass the event over for good.
func (w *Words) Entry(r *ledger.Record) (*Entry, error) {
	d, err := decode(r)
	if err != nil {
		return nil, err
	}
	return w.entry(d, r.Seq)
}

func (w *Words) entry(d *decoded, seq uint64) (*Entry, error) {
	e := d.entry(seq)
	var err error
	if e.Bucket != 0 && e.Name == "" {
		if e.Name, err = w.bucket(e.Bucket); err != nil {
			return nil, err
		}
	}
	if e.SourceID != 0 {
		if e.SourceBucket, err = w.bucket(e.SourceID); err != nil {
			return nil, err
		}
	}
	for i := range e.Steps {
		if step := &e.Steps[i]; step.SourceID != 0 {
			if step.SourceBucket, err = w.bucket(step.SourceID); err != nil {
				return nil, err
			}
		}
	}
	id := d.envelope.Principal
	who, ok := w.actors[id]
	if !ok {
		if who, err = w.actor(id); err != nil {
			return nil, err
		}
		remember(w.actors, id, who)
	}
	e.ActorName, e.ActorAccount = who.name, who.account
	return e, nil
}

// mostRemembered bounds what is remembered of names.
const mostRemembered = 100_000

func remember[K comparable, V any](known map[K]V, k K, v V) {
	if len(known) >= mostRemembered {
		clear(known)
	}
	known[k] = v
}

// bucket is the name of a bucket, also of one that is gone; "" if its record does not tell
// it any more.
func (w *Words) bucket(id uint64) (string, error) {
	if name, ok := w.buckets[id]; ok {
		return name, nil
	}
	name := ""
	if w.view != nil {
		b, err := w.view.Bucket(id)
		if err != nil {
			return "", fmt.Errorf("audit: %w", err)
		}
		name = b.GetName()
	}
	if name == "" {
		var err error
		if name, err = madeAs(w.record, id); err != nil {
			return "", err
		}
	}
	remember(w.buckets, id, name)
	return name, nil
}

// madeAs is the name that a bucket was made with; "" if the record is none of that, or the
// name was erased.
func madeAs(record func(seq uint64) (ledger.Record, error), id uint64) (string, error) {
	r, err := record(id)
	if err != nil {
		return "", fmt.Errorf("audit: the name of bucket %d: %w", id, err)
	}
	d, err := decode(&r)
	if err != nil || d.parsed.Statement.GetBucketCreated() == nil {
		return "", err
	}
	return d.parsed.Text(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0), nil
}

// actor is who has an id now.
func (w *Words) actor(id string) (actor, error) {
	if id == "" || id == event.System || w.view == nil {
		return actor{}, nil
	}
	id, session, _ := strings.Cut(id, ":") // of a session: its role's id, and its name
	who, isRoot, err := w.actorOf(id)
	switch name := who.name; {
	case err != nil:
		return actor{}, fmt.Errorf("audit: the name of %s: %w", id, err)
	case name != "" && session != "":
		who.name = name + "/" + session
	case name == event.System || name == anonymous || name == "root" && !isRoot: // these are not said of anybody else
		who.name = ""
	}
	return who, nil
}

// actorOf is a principal or, by its canonical id or number, an account.
func (w *Words) actorOf(id string) (who actor, isRoot bool, err error) {
	p, err := w.view.Principal(id)
	if err != nil {
		return who, false, err
	}
	if p != nil {
		id = p.Account
	}
	a, err := w.view.Account(id)
	if a == nil && err == nil {
		a, err = w.view.AccountByID(id)
	}
	who = actor{a.GetName(), a.GetCanonicalId()}
	if p != nil {
		who.name = p.Name
		return who, false, err
	}
	return who, a.GetRoot(), err
}

// Detail puts all of a record into words.
func (w *Words) Detail(r *ledger.Record) (*Detail, error) {
	e, err := w.Entry(r)
	if err != nil {
		return nil, err
	}
	d, err := decode(r)
	if err != nil {
		return nil, err
	}
	out := &Detail{Entry: *e, StateDigest: hex.EncodeToString(d.envelope.StateDigest), LeafHash: leafHash(r.Envelope).String()}
	if out.Statement, err = protojson.Marshal(withoutSecrets(d.parsed.Statement)); err != nil {
		return nil, fmt.Errorf("audit: event %d: %w", r.Seq, err)
	}
	if out.Decided, err = protojson.Marshal(&d.outcome); err != nil {
		return nil, fmt.Errorf("audit: event %d: %w", r.Seq, err)
	}
	for i, items := 0, d.parsed.Items; i < len(r.Items); i++ {
		sum := r.Items[i].Sum()
		x := ItemDetail{Hash: hex.EncodeToString(sum[:]), Erased: r.Items[i].Erased}
		if !x.Erased && len(items) > 0 {
			x.Kind, x.Ordinal = lower(items[0].Kind), items[0].Ordinal
			if x.Text, x.Value, err = itemText(items[0]); err != nil {
				return nil, fmt.Errorf("audit: event %d: %w", r.Seq, err)
			}
			items = items[1:]
		}
		out.Items = append(out.Items, x)
	}
	return out, nil
}

// withoutSecrets is a statement without what is sealed in it: ciphertexts of secrets and of
// keys, and what a client's key could be guessed by. Who keeps what is printed must not be
// able to open it once a keyring is lost. (Hashes and proofs are over the record itself.)
func withoutSecrets(s *event.Statement) *event.Statement {
	s = proto.CloneOf(s)
	var strip func(m protoreflect.Message)
	strip = func(m protoreflect.Message) {
		m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch fd.Name() {
			case "sealed_secret", "wrapped", "nonce", "customer_key_check":
				m.Clear(fd)
				return true
			}
			switch {
			case fd.Message() == nil:
			case fd.IsList():
				for i := range v.List().Len() {
					strip(v.List().Get(i).Message())
				}
			default:
				strip(v.Message())
			}
			return true
		})
	}
	strip(s.ProtoReflect())
	return s
}
