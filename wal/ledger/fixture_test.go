package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/wal/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testOrigin = "ironman.test/ledger/1"

// testKey gives a key pair that depends on the seed only.
func testKey(t testing.TB, seed byte) (note.Signer, note.Verifier) {
	t.Helper()
	raw := sha256.Sum256([]byte{seed})
	pub := ed25519.NewKeyFromSeed(raw[:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(testOrigin, pub)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return seededSigner{v, ed25519.NewKeyFromSeed(raw[:])}, v
}

type seededSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s seededSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// record makes the record of a sequence: a function of (salt, seq).
func record(salt byte, seq uint64) Record {
	r := Record{Seq: seq}
	var seed [32]byte
	seed[0] = salt
	binary.BigEndian.PutUint64(seed[1:], seq)
	rng := rand.NewChaCha8(seed)
	random := func(n int) []byte {
		b := make([]byte, n)
		rng.Read(b)
		return b
	}
	r.Statement = append([]byte("statement of PutObject in bucket 7 "), random(24)...)
	for i := range int(seq % 4) {
		r.Items = append(r.Items, Item{Bytes: append(random(16), fmt.Sprintf("photos/2026/%d/%d.jpg", seq, i)...)})
	}
	out := &event.Outcome{Time: int64(seq+1) * 1000, Version: &event.Version{Seq: seq}, Etag: fmt.Sprintf("%x", random(16))}
	r.Outcome = event.Canonical(out)
	if seq%13 == 12 {
		r.Outcome = append(r.Outcome, random(50)...) // a long one, committed to by hash
	}
	r.Envelope = envelope(&r, int64(seq+1)*1000, random(32))
	return r
}

// envelope makes the envelope that commits to a record's payload.
func envelope(r *Record, time int64, digest []byte) []byte {
	statement, items := event.StatementHash(r.Statement), r.itemsHash()
	env := &event.Envelope{
		Seq: r.Seq, Time: time, Kind: 64, RequestId: digest[:16], Principal: "AIDATEST",
		StatementHash: statement[:], ItemsHash: items[:], StateDigest: digest,
	}
	if r.Seq%13 == 12 {
		sum := event.OutcomeHash(r.Outcome)
		env.OutcomeHash = sum[:]
	} else {
		env.Outcome = r.Outcome
	}
	return event.Canonical(env)
}

// records makes the records [from, to).
func records(from, to uint64) []Record {
	out := make([]Record, 0, to-from)
	for seq := from; seq < to; seq++ {
		out = append(out, record(0, seq))
	}
	return out
}

// options are those of a signed archive in fsys whose fatal fails the test.
func options(t testing.TB, fsys vfs.FS) Options {
	t.Helper()
	signer, verifier := testKey(t, 1)
	return Options{
		FS: fsys, Dir: "ledger", Origin: testOrigin, Signer: signer, Verifiers: note.VerifierList(verifier),
		Fatal: func(err error) { t.Helper(); t.Fatalf("fatal: %v", err) },
	}
}

func open(t testing.TB, o Options) *Archive {
	t.Helper()
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustAppend(t testing.TB, a *Archive, records []Record) {
	t.Helper()
	if err := a.Append(records); err != nil {
		t.Fatal(err)
	}
}

// filled makes a signed archive of size sequences in a new file system.
func filled(t testing.TB, size uint64) (*vfs.MemFS, *Archive) {
	t.Helper()
	fsys := vfs.NewCrashableMem()
	a := open(t, options(t, fsys))
	mustAppend(t, a, records(0, size))
	return fsys, a
}

// tree lists every file below dir with its content.
func tree(t testing.TB, fsys vfs.FS, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	var walk func(rel string)
	walk = func(rel string) {
		names, err := fsys.List(path.Join(dir, rel))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			rel := path.Join(rel, name)
			st, err := fsys.Stat(path.Join(dir, rel))
			if err != nil {
				t.Fatal(err)
			}
			if st.IsDir() {
				walk(rel)
				continue
			}
			out[rel] = string(get(t, fsys, path.Join(dir, rel)))
		}
	}
	walk("")
	return out
}

// same fails the test unless two trees are the same, byte for byte.
func same(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, data := range want {
		if have, ok := got[name]; !ok {
			t.Fatalf("%s is missing", name)
		} else if have != data {
			t.Fatalf("%s is different", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Fatalf("%s ought not to be there", name)
		}
	}
}

func get(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, fsys vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(data)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// golden compares text with a golden file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s has changed:\n%s", file, firstDifference(got, string(want)))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got: %q\nwant: %q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines instead of %d", len(g), len(w))
}
