package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/server"
	"ironman/server/backup"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// backupOf takes a backup from a node of this process.
func (p *inProcess) backupTo(t testing.TB, to backup.Target) *backup.Taken {
	t.Helper()
	done, err := p.tryBackup(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func (p *inProcess) tryBackup(ctx context.Context, to backup.Target) (*backup.Taken, error) {
	return backup.Take{From: backup.NewAdmin(p.admin, p.cred.AccessKey, string(p.cred.Secret.Reveal())), To: to}.Run(ctx)
}

// wholeBackup verifies all points of a target.
func wholeBackup(t testing.TB, to backup.Target, points int) *backup.Report {
	t.Helper()
	r, err := backup.Verify{Target: to}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Errorf("%s: %s (points %d)", p.Name, p.Text, p.Points)
	}
	if len(r.Points) != points {
		t.Errorf("there are %d points, want %d", len(r.Points), points)
	}
	return r
}

// wholePoint reads all of a point, as a restore does: its state is what it says, its entries
// reach from the ledger's end to the state's, and all blobs that the state names are there.
func wholePoint(t testing.TB, to backup.Target, seq uint64) (r *backup.Reader, bytesOf map[digest.Sum]int) {
	t.Helper()
	r, err := backup.OpenPoint(t.Context(), to, seq)
	if err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewMem()
	if err := fs.MkdirAll("state", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Point.State.Files {
		copyOut(t, fs, "state/"+f.Name, func() (io.ReadCloser, error) { return r.StateFile(t.Context(), f) })
	}
	a, err := fsm.Verify(fs, "state")
	if err != nil {
		t.Fatal(err)
	}
	if sum := a.Digest.Bytes(); a.Index != r.Point.State.Index || a.Term != r.Point.State.Term || a.Next != r.Point.Seq || fmt.Sprintf("%x", sum) != r.Point.State.Digest {
		t.Errorf("the state stands at %+v, and the point says %+v of %d", a, r.Point.State, r.Point.Seq)
	}
	still, err := fsm.OpenStill(fs, "state")
	if err != nil {
		t.Fatal(err)
	}
	defer still.Close()
	v, err := still.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	first := r.Point.State.Index
	if r.Point.Ledger.Size < r.Point.Seq {
		index, ok, err := v.Queued(r.Point.Ledger.Size)
		if err != nil || !ok {
			t.Fatalf("event %d, behind the ledger's end, is not queued in the state: %v", r.Point.Ledger.Size, err)
		}
		first = index
	}
	last := uint64(0)
	for e, err := range r.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if last == 0 && e.Index != first {
			t.Errorf("the entries begin with %d, and the event behind the ledger's end is of %d", e.Index, first)
		}
		last = e.Index
	}
	if last != r.Point.State.Index {
		t.Errorf("the entries end with %d, and the state with %d", last, r.Point.State.Index)
	}
	if err := r.VerifyLedger(t.Context(), nil); err != nil {
		t.Error(err)
	}
	bytesOf = make(map[digest.Sum]int)
	var listed []backup.Blob
	for b, err := range r.Blobs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, b)
		body, err := r.OpenBlob(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		if uint64(len(all)) != b.Size {
			t.Errorf("blob %v has %d bytes, want %d", b.BlobID, len(all), b.Size)
		}
		bytesOf[digest.SHA256(all)]++
	}
	n := 0
	if err := eachBlob(v, func(b backup.Blob) {
		if n >= len(listed) || listed[n] != b {
			t.Errorf("the state's blob %v is not the list's next one", b)
		}
		n++
	}); err != nil || n != len(listed) {
		t.Errorf("the state names %d blobs, and the point lists %d: %v", n, len(listed), err)
	}
	return r, bytesOf
}

func copyOut(t testing.TB, fs vfs.FS, path string, open func() (io.ReadCloser, error)) {
	t.Helper()
	body, err := open()
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, body)
	if err := errors.Join(err, f.Close(), body.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestBackup: a point holds all that was acknowledged before it, and the next one sends only
// what is new.
func TestBackup(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/node", func(o *server.Options) { o.ReleaseGrace, o.PackGrace = time.Millisecond, time.Millisecond })
	c := p.client()
	c.must(t, 200, "PUT", "/pictures", nil)
	random := rand.New(rand.NewPCG(1, 2))
	bodies := make(map[string][]byte)
	put := func(key string, size int) {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		bodies[key] = b
		c.must(t, 200, "PUT", "/pictures/"+key, b)
	}
	for i := range 600 {
		put(fmt.Sprintf("small-%d", i), 1+random.IntN(3000))
	}
	put("one piece", backup.MaxPieceBytes)
	put("two pieces", backup.MaxPieceBytes+1)
	for i := range 20 {
		c.must(t, 204, "DELETE", fmt.Sprintf("/pictures/small-%d", i), nil)
	}
	fs := vfs.NewMem()
	to := backup.OpenDirectory(fs, "/backup")
	before := applied(t, p)
	first := p.backupTo(t, to)
	if first.Point.Seq < before || first.Point.Ledger.Size == 0 || first.Point.Seq-first.Point.Ledger.Size > 2*256 {
		t.Errorf("%d events had happened, and the point has %d, %d of them in the ledger", before, first.Point.Seq, first.Point.Ledger.Size)
	}
	_, have := wholePoint(t, to, backup.Newest)
	for key, b := range bodies {
		if have[digest.SHA256(b)] == 0 {
			t.Errorf("the bytes of %q are not in the backup", key)
		}
	}
	if first.Blobs != uint64(len(bodies)) {
		t.Errorf("%d blobs were sent, want %d", first.Blobs, len(bodies))
	}

	again := p.backupTo(t, to)
	if again.Blobs != 0 || again.LedgerFiles != 0 {
		t.Errorf("nothing had happened, and %+v was sent", again)
	}
	for i := range 5 {
		put(fmt.Sprintf("later-%d", i), 100)
	}
	second := p.backupTo(t, to)
	if second.Blobs != 5 || second.LedgerFiles != 0 || second.Bytes > first.Bytes/4 {
		t.Errorf("five objects came, and %d blobs, %d files of the ledger and %d bytes of %d were sent", second.Blobs, second.LedgerFiles, second.Bytes, first.Bytes)
	}
	points, err := backup.Points(t.Context(), to)
	if err != nil || !slices.Contains(points, first.Point.Seq) || !slices.Contains(points, second.Point.Seq) {
		t.Errorf("the points are %d: %v", points, err)
	}
	wholeBackup(t, to, len(points))
	wholePoint(t, to, first.Point.Seq)
	wholePoint(t, to, second.Point.Seq)
	if got := string(p.adminGet(t, "/-/backups")); strings.TrimSpace(got) != "[]" {
		t.Errorf("runs that are over are listed: %s", got)
	}
}

func applied(t testing.TB, p *inProcess) uint64 {
	t.Helper()
	s, err := p.node.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s.Events
}

// cutTarget fails from its n-th Put on, in the middle of it.
type cutTarget struct {
	backup.Target
	left atomic.Int64
}

var errBackupCut = errors.New("the line was cut")

func (c *cutTarget) Put(ctx context.Context, name string, x backup.Content) error {
	if c.left.Add(-1) >= 0 {
		return c.Target.Put(ctx, name, x)
	}
	if c.left.Load() == -1 { // half of it came
		open := x.Open
		x.Open = func(ctx context.Context) (io.ReadCloser, error) {
			r, err := open(ctx)
			if err != nil {
				return nil, err
			}
			return struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(r, x.Size/2), cutReader{}), r}, nil
		}
		if err := c.Target.Put(ctx, name, x); !errors.Is(err, errBackupCut) {
			return fmt.Errorf("half of %s was put: %w", name, err)
		}
	}
	return fmt.Errorf("%w: %w", backup.ErrNotFound, errBackupCut) // none that is tried again
}

type cutReader struct{}

func (cutReader) Read([]byte) (int, error) { return 0, errBackupCut }

// TestBackupCut: a run that ends anywhere leaves all older points whole, and the next one
// goes on.
func TestBackupCut(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/node")
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	for i := range 300 {
		c.must(t, 200, "PUT", fmt.Sprintf("/box/first-%d", i), bytes.Repeat([]byte{byte(i)}, 500))
	}
	fs := vfs.NewCrashableMem()
	to := backup.OpenDirectory(fs, "/backup")
	p.backupCut(t, to, 0)
	for i := range 300 {
		c.must(t, 200, "PUT", fmt.Sprintf("/box/second-%d", i), bytes.Repeat([]byte{byte(i), 1}, 500))
	}
	p.backupCut(t, to, 1)
	wholePoint(t, to, backup.Newest)
	wholeBackup(t, backup.OpenDirectory(fs.CrashClone(vfs.CrashCloneCfg{}), "/backup"), 2)
}

// backupCut takes backups that are cut at every Put, until one is not.
func (p *inProcess) backupCut(t *testing.T, to backup.Target, points int) {
	t.Helper()
	cuts := 0
	for n := int64(0); ; n++ {
		cut := &cutTarget{Target: to}
		cut.left.Store(n)
		if _, err := p.tryBackup(t.Context(), cut); err == nil {
			break
		} else if !errors.Is(err, errBackupCut) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		cuts++
		wholeBackup(t, to, points)
	}
	if cuts < 3 {
		t.Errorf("only %d runs were cut", cuts)
	}
	wholeBackup(t, to, points+1)
}

// eachBlob calls f for the blobs that a state names.
func eachBlob(v *fsm.View, f func(backup.Blob)) error {
	return v.Blobs(func(b *event.Blob) error {
		f(backup.Blob{BlobID: backup.BlobID{Incarnation: b.Id.Incarnation, Counter: b.Id.Counter}, Size: b.Size})
		return nil
	})
}
