package reads

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/wal/event"
)

const testOrigin = "ironman.test/ledger/1"

// key is always the same.
func key(t testing.TB) (note.Signer, note.Verifiers) {
	t.Helper()
	seed := sha256.Sum256([]byte("seed"))
	private := ed25519.NewKeyFromSeed(seed[:])
	text, err := note.NewEd25519VerifierKey(testOrigin, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	return signer{v, private}, note.VerifierList(v)
}

type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// begin is the time of the first record of a test.
var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func options(t testing.TB, fsys vfs.FS) Options {
	t.Helper()
	s, v := key(t)
	return Options{
		FS: fsys, Dir: "reads", Origin: testOrigin + "/reads/1", Signer: s, Verifiers: v, Now: func() time.Time { return begin },
		Fatal: func(err error) { t.Helper(); t.Fatalf("fatal: %v", err) }, Logger: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// add adds the reads of keys from one number to below another, a second apart, and makes
// them durable.
func add(t testing.TB, l *Log, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		l.Add(draft(n))
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
}

func draft(n int) *event.ReadDraft {
	return &event.ReadDraft{
		Time: begin.Add(time.Duration(n) * time.Second).UnixNano(), RequestID: fmt.Appendf(nil, "%016d", n), Principal: "AIDA1",
		Read:   &event.Read{Kind: event.ReadKind_READ_KIND_READ, Operation: "GetObject", Bucket: 7, Object: &event.Version{Seq: uint64(n)}, Status: 200, Sent: 5},
		Bucket: "photos", Key: fmt.Sprintf("key/%d", n), Client: &event.Client{Address: "192.0.2.1", AccessKey: "AKIA1"},
	}
}

// entries are all records, decoded.
func entries(t testing.TB, l *Log) []*Entry {
	t.Helper()
	var out []*Entry
	for r, err := range l.Records(l.Kept()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Check(); err != nil {
			t.Fatalf("record %d: %v", r.Seq, err)
		}
		e, err := Decode(&r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func keyOf(e *Entry) string {
	b, _ := e.Item(event.ItemKind_ITEM_KIND_KEY)
	return string(b)
}

// draftAge is when the n-th read was, since the first.
func draftAge(n int) time.Duration { return time.Duration(n) * time.Second }
