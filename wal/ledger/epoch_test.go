package ledger

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/wal/event"
)

// epochKey gives the key pair of an epoch, whose origin is its key's name.
func epochKey(t testing.TB, origin string) (note.Signer, string) {
	t.Helper()
	raw := sha256.Sum256([]byte(origin))
	key := ed25519.NewKeyFromSeed(raw[:])
	text, err := note.NewEd25519VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	return seededSigner{v, key}, text
}

// beginning is the record of an event that begins an epoch, refused or not.
func beginning(t testing.TB, seq uint64, origin string, refusal event.Refusal) Record {
	t.Helper()
	_, key := epochKey(t, origin)
	r := record(0, seq)
	s := &event.Statement{Body: &event.Statement_EpochBegun{EpochBegun: &event.EpochBegun{LedgerOrigin: origin, LedgerKey: key}}}
	if seq == 0 {
		s.Body = &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{LedgerOrigin: origin, LedgerKey: key}}
	}
	r.Statement, r.Items = event.Canonical(s), nil
	statement, items := event.StatementHash(r.Statement), r.itemsHash()
	env := &event.Envelope{}
	if err := event.Decode(r.Envelope, env); err != nil {
		t.Fatal(err)
	}
	env.Kind, env.StatementHash, env.ItemsHash, env.Refusal = s.Kind(), statement[:], items[:], refusal
	r.Envelope = event.Canonical(env)
	return r
}

// lived are the records of a ledger whose second epoch begins with event 600, and another
// one was refused behind it.
func lived(t testing.TB, size uint64) []Record {
	t.Helper()
	out := records(0, size)
	for _, r := range []Record{
		beginning(t, 0, "one", event.Refusal_REFUSAL_NONE), beginning(t, 600, "two", event.Refusal_REFUSAL_NONE),
		beginning(t, 700, "three", event.Refusal_REFUSAL_CONFLICT),
	} {
		if r.Seq < size {
			out[r.Seq] = r
		}
	}
	return out
}

// inEpoch are the options of an archive in an epoch, with those before it.
func inEpoch(t testing.TB, fsys vfs.FS, origin string, past ...Past) Options {
	t.Helper()
	o := options(t, fsys)
	signer, _ := epochKey(t, origin)
	o.Origin, o.Signer, o.Verifiers, o.Past = origin, signer, note.VerifierList(signer.(note.Verifier)), past
	return o
}

func over(t testing.TB, origin string, end uint64) Past {
	t.Helper()
	v, _ := epochKey(t, origin)
	return Past{Origin: origin, Verifiers: note.VerifierList(v.(note.Verifier)), End: end}
}

// TestEpochs: an archive goes on in a new epoch, with what the one before has signed up to
// its end; from there on the checkpoint is the new one's, and the old key's word is no more
// believed.
func TestEpochs(t *testing.T) {
	fsys := vfs.NewMem()
	all := lived(t, 1280)
	a := open(t, inEpoch(t, fsys, "one"))
	mustAppend(t, a, all[:512])
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if e, err := SignedIn(fsys, "ledger"); err != nil || e.Origin != "one" || e.From != 0 {
		t.Errorf("signed in %+v, %v", e, err)
	}
	ahead := vfs.NewMem() // the old epoch goes on beyond, as if it had not ended
	if _, err := vfs.Clone(fsys, ahead, "ledger", "ledger"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, open(t, inEpoch(t, ahead, "one")), all[512:1024])

	for name, o := range map[string]Options{
		"no past": inEpoch(t, fsys, "two"), "an earlier end": inEpoch(t, fsys, "two", over(t, "one", 511)),
		"another past": inEpoch(t, fsys, "two", over(t, "zero", 600)), "signed beyond the end": inEpoch(t, ahead, "two", over(t, "one", 600)),
	} {
		if _, err := Open(o); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	now := inEpoch(t, fsys, "two", over(t, "one", 600))
	reading := now
	reading.ReadOnly = true
	r := open(t, reading)
	if c, ok := r.Checkpoint(); !ok || c.Origin != "one" {
		t.Errorf("what is only read was signed anew: %q", c.Origin)
	}
	if err := r.Verify(context.Background(), nil); err != nil {
		t.Error(err)
	}
	a = open(t, now)
	if c, ok := a.Checkpoint(); !ok || c.Origin != "two" || c.Tree.N != 512 {
		t.Errorf("the checkpoint is of %q and %d", c.Origin, c.Tree.N)
	}
	// As long as the event that begins the epoch is not archived, nothing here names it.
	if e, err := SignedIn(fsys, "ledger"); !errors.Is(err, ErrSignature) {
		t.Errorf("signed in %+v, %v", e, err)
	}
	mustAppend(t, a, all[512:])
	if err := a.Verify(context.Background(), nil); err != nil {
		t.Error(err)
	}
	checkEpochs(t, fsys, "ledger", 1280)
	if e, err := SignedIn(fsys, "ledger"); err != nil || e.Origin != "two" || e.From != 600 {
		t.Errorf("signed in %+v, %v", e, err)
	}
	if err := a.Export(context.Background(), Export{FS: fsys, Dir: "export", Size: 601, Payloads: true}); err != nil {
		t.Fatal(err)
	}
	checkEpochs(t, fsys, "export", 601)
	if e, err := SignedIn(fsys, "export"); err != nil || e.Origin != "two" {
		t.Errorf("the export is signed in %+v, %v", e, err)
	}
	if _, err := Open(inEpoch(t, fsys, "one")); !errors.Is(err, ErrSignature) {
		t.Errorf("the old epoch goes on: %v", err)
	}
}

// checkEpochs wants the epochs of lived, found in both ways.
func checkEpochs(t *testing.T, fsys vfs.FS, dir string, size int64) {
	t.Helper()
	_, one := epochKey(t, "one")
	v, two := epochKey(t, "two")
	want := []Epoch{{0, "one", one}, {600, "two", two}}
	if got, err := Epochs(fsys, dir); err != nil || !slices.Equal(got, want) {
		t.Errorf("epochs %+v, %v", got, err)
	}
	var told []Epoch
	tree, err := Verify(context.Background(), VerifyOptions{
		FS: fsys, Dir: dir, Origin: "two", Verifiers: note.VerifierList(v.(note.Verifier)), Export: strings.HasPrefix(dir, "export"),
		Epoch: func(e Epoch) { told = append(told, e) },
	})
	if err != nil || tree.N != size || !slices.Equal(told, want) {
		t.Errorf("verified %d, told of %+v, %v", tree.N, told, err)
	}
}
