package server_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/fsm"
	"ironman/server/backup"
	"ironman/wal/digest"
	"ironman/wal/ledger"
	"ironman/wal/overlay"
	"ironman/wal/segment"
)

// stoppedPoint writes, of the directory of a node that was stopped, the point that a backup of
// it would be, but for the bytes of blobs.
type stoppedPoint struct {
	testing.TB
	fs     vfs.FS
	node   string
	target backup.Target
}

// backUpStopped writes the point and opens it.
func backUpStopped(t testing.TB, fs vfs.FS, node, to string, change ...func(*backup.Point)) *backup.Reader {
	t.Helper()
	s := &stoppedPoint{TB: t, fs: fs, node: node, target: backup.OpenDirectory(fs, to)}
	p := s.point()
	for _, f := range change {
		f(p)
	}
	s.putSealed(backup.PointName(p.Seq), p)
	r, err := backup.OpenPoint(t.Context(), s.target, p.Seq)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *stoppedPoint) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stoppedPoint) put(name string, b []byte) {
	s.Helper()
	s.check(s.target.Put(s.Context(), name, backup.Content{Size: int64(len(b)), Sum: digest.SHA256(b), Open: pointContent(b)}))
}

func (s *stoppedPoint) putSealed(name string, v any) {
	s.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	s.check(err)
	b = append(b, '\n')
	sum := digest.SHA256(b)
	s.put(name, append(hex.AppendEncode(b, sum[:]), '\n'))
}

// putFile puts a file by its content.
func (s *stoppedPoint) putFile(name string, b []byte) backup.File {
	s.Helper()
	sum := digest.SHA256(b)
	f := backup.File{Name: name, Size: int64(len(b)), Sum: hex.EncodeToString(sum[:])}
	s.put("files/"+f.Sum[:2]+"/"+f.Sum, b)
	return f
}

func (s *stoppedPoint) read(path ...string) []byte {
	s.Helper()
	f, err := s.fs.Open(s.fs.PathJoin(path...))
	s.check(err)
	defer f.Close()
	b, err := io.ReadAll(f)
	s.check(err)
	return b
}

func (s *stoppedPoint) point() *backup.Point {
	s.Helper()
	fatal := func(err error) { s.Fatal(err) }
	m, err := fsm.Open(fsm.Options{FS: s.fs, Dir: s.fs.PathJoin(s.node, "state"), Fatal: fatal})
	s.check(err)
	defer func() { s.check(m.Close()) }()
	checkpoint := s.fs.PathJoin(s.node, "checkpoint")
	a, err := m.Checkpoint(checkpoint)
	s.check(err)
	v, err := m.View()
	s.check(err)
	c, err := v.Cluster()
	s.check(err)
	s.check(v.Close())
	p := &backup.Point{
		Format: 1, Source: backup.Source{Cluster: hex.EncodeToString(c.ClusterId), Origin: c.LedgerOrigin, Key: c.LedgerKey},
		Seq: a.Next, Time: time.Unix(0, a.Time).UTC(), Taken: time.Now().UTC(), Node: 1, FeatureLevel: c.FeatureLevel,
		State: backup.State{Index: a.Index, Term: a.Term, Digest: hex.EncodeToString(a.Digest.Bytes())},
	}
	names, err := s.fs.List(checkpoint)
	s.check(err)
	for _, name := range names {
		p.State.Files = append(p.State.Files, s.putFile(name, s.read(checkpoint, name)))
	}
	s.check(s.fs.RemoveAll(checkpoint))
	key, err := note.NewVerifier(c.LedgerKey)
	s.check(err)
	archive, err := ledger.Open(ledger.Options{
		FS: s.fs, Dir: s.fs.PathJoin(s.node, "wal", "ledger"), Origin: c.LedgerOrigin, Verifiers: note.VerifierList(key), ReadOnly: true,
	})
	s.check(err)
	p.Ledger.Size = archive.Size()
	p.Ledger.Root = archive.Tree().Hash.String()
	if signed, ok := archive.Checkpoint(); ok {
		p.Ledger.Checkpoint = string(signed.Note)
	}
	for name := range (&backup.Reader{Point: p}).LedgerFiles() {
		s.put("ledger/"+name, s.read(s.node, "wal", "ledger", name))
	}
	p.Log.First, p.Log.Last = a.Index, a.Index
	leaves, err := m.Leaves(archive.Size(), 1)
	s.check(err)
	if len(leaves) > 0 {
		p.Log.First = leaves[0].Index
	}
	p.Log.File = s.entries(&p.Log)
	s.putSealed("backup.json", struct {
		Format int `json:"format"`
		backup.Source
	}{1, p.Source})
	return p
}

// entries puts those of the log.
func (s *stoppedPoint) entries(l *backup.Log) backup.File {
	s.Helper()
	log, err := segment.Open(segment.Options{
		FS: overlay.New(s.fs), Dir: s.fs.PathJoin(s.node, "wal", "log"), SegmentBytes: 64 << 10, Fatal: func(err error) { s.Fatal(err) },
	})
	s.check(err)
	defer log.Close()
	l.BeforeTerm = 1
	var b bytes.Buffer
	s.check(backup.WriteEntries(&b, iter.Seq2[segment.Entry, error](func(yield func(segment.Entry, error) bool) {
		for i := l.First; i <= l.Last; i++ {
			if e, err := log.ArchiveEntry(i); !yield(e, err) || err != nil {
				return
			}
		}
	})))
	return s.putFile("entries", b.Bytes())
}
