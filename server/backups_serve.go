package server

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server/backup"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// backupSend is how long whoever takes a backup may take nothing of an answer.
const backupSend = time.Minute

// backupRoutes are what `ironman backup` asks for.
func (n *Node) backupRoutes(mux *http.ServeMux) {
	handle := func(pattern string, h func(*backupAnswer) error) {
		mux.Handle(pattern, n.rootOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.serveBackup(w, r, h) })))
	}
	mux.Handle("GET /-/backups", n.rootOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, n.backups.list()) })))
	mux.Handle("POST /-/backups", n.rootOnly(http.HandlerFunc(n.serveBeginBackup)))
	mux.Handle("DELETE /-/backups/{run}", n.rootOnly(http.HandlerFunc(n.serveEndBackup)))
	handle("POST /-/backups/{run}/renew", (*backupAnswer).renew)
	handle("GET /-/backups/{run}/state", (*backupAnswer).stateFiles)
	handle("GET /-/backups/{run}/state/{name}", (*backupAnswer).stateFile)
	handle("GET /-/backups/{run}/entries", (*backupAnswer).entries)
	handle("GET /-/backups/{run}/erased", (*backupAnswer).erased)
	handle("GET /-/backups/{run}/ledger/{name...}", (*backupAnswer).ledgerFile)
	handle("GET /-/backups/{run}/blobs", (*backupAnswer).blobs)
	handle("GET /-/backups/{run}/lost", (*backupAnswer).lost)
	handle("POST /-/backups/{run}/pieces", (*backupAnswer).pieces)
}

// backupAnswer is one answer of a run.
type backupAnswer struct {
	ctx context.Context // ends when the node does
	n   *Node
	run *backupRun
	w   http.ResponseWriter
	r   *http.Request
	// begun: the answer is under way. An error then breaks it off.
	begun bool
}

// serveBackup answers a request about a run.
func (n *Node) serveBackup(w http.ResponseWriter, r *http.Request, h func(*backupAnswer) error) {
	run, done, err := n.backups.use(r.PathValue("run"))
	if err != nil {
		n.changesError(w, err)
		return
	}
	defer done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.changes.ending, cancel)()
	defer context.AfterFunc(run.ending, cancel)()
	a := &backupAnswer{ctx: ctx, n: n, run: run, w: w, r: r}
	switch err := h(a); {
	case err == nil:
	case a.begun:
		n.opts.Logger.Info("a backup: an answer broke off", "run", run.Run.Run, "path", r.URL.Path, "err", err)
		panic(http.ErrAbortHandler)
	default:
		n.changesError(w, err)
	}
}

// serveBeginBackup answers POST /-/backups?seq=S&size=A&root=R, which name the target's newest point.
func (n *Node) serveBeginBackup(w http.ResponseWriter, r *http.Request) {
	var known knownPoint
	q := r.URL.Query()
	if q.Has("seq") {
		var err1, err2 error
		known.seq, err1 = numberIn(q, "seq")
		known.size, err2 = numberIn(q, "size")
		known.root = q.Get("root")
		if err := errors.Join(err1, err2); err != nil {
			n.changesError(w, err)
			return
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.changes.ending, cancel)()
	run, err := n.BeginBackup(ctx, known)
	if err != nil {
		n.changesError(w, err)
		return
	}
	writeJSON(w, run)
}

// serveEndBackup answers DELETE /-/backups/RUN.
func (n *Node) serveEndBackup(w http.ResponseWriter, r *http.Request) {
	if err := n.EndBackup(r.PathValue("run")); err != nil {
		n.changesError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *backupAnswer) renew() error {
	unheld, err := a.n.RenewBackup(a.ctx, a.run.Run.Run)
	if err == nil {
		writeJSON(a.w, map[string][]uint32{"unheld": unheld})
	}
	return err
}

// backupLine is a line of the list of a state's files; Error: why it ends before its end. The
// last one is empty.
type backupLine struct {
	*backup.File
	Error string `json:"error,omitempty"`
}

// stateFiles answers with a line for each file, once it has been read. The list ends well only
// where the files make the state that the point tells of: all of its rows were read.
func (a *backupAnswer) stateFiles() error {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	tell := linesTo(a.w, cancel)
	a.begun = true
	for _, name := range a.run.files {
		f, err := a.open(name)
		var s fileSum
		if err == nil {
			s, err = sumOf(ctx, f)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			tell(&backupLine{Error: err.Error()})
			return nil
		}
		tell(&backupLine{File: &backup.File{Name: name, Size: s.size, Sum: hex.EncodeToString(s.sum[:])}})
	}
	if err := a.run.verify(); err != nil {
		tell(&backupLine{Error: err.Error()})
		return nil
	}
	tell(&backupLine{})
	return nil
}

func (a *backupAnswer) open(name string) (vfs.File, error) {
	fs := a.n.opts.FS
	return fs.Open(fs.PathJoin(a.run.pin.State, name), vfs.SequentialReadsOption)
}

// sumOf reads a file from its beginning to its end.
func sumOf(ctx context.Context, f vfs.File) (s fileSum, err error) {
	st, err := f.Stat()
	if err != nil {
		return s, err
	}
	hash := digest.NewSHA256()
	s.size, err = io.Copy(hash, endingReader{ctx, io.NewSectionReader(f, 0, st.Size())})
	copy(s.sum[:], hash.Sum(nil))
	return s, err
}

// endingReader ends with a context.
type endingReader struct {
	ctx context.Context
	r   io.Reader
}

func (e endingReader) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(p)
}

func (a *backupAnswer) stateFile() error {
	name := a.r.PathValue("name")
	if !slices.Contains(a.run.files, name) {
		return fmt.Errorf("%w: the state has no file %q", errNoObject, name)
	}
	f, err := a.open(name)
	if err != nil {
		return err
	}
	return errors.Join(a.send(f, nil), f.Close())
}

func (a *backupAnswer) entries() error {
	fs := a.n.opts.FS
	f, err := fs.Open(fs.PathJoin(a.run.pin.Room, entriesFile), vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	return errors.Join(a.send(f, nil), f.Close())
}

// erased tells of which bundles something was erased.
func (a *backupAnswer) erased() error {
	bundles, err := a.run.erasedBundles()
	if err == nil {
		writeJSON(a.w, bundles)
	}
	return err
}

// ledgerFile answers with a file of the ledger, and its sum before it: what was erased of it
// meanwhile changes it for the next one who asks.
func (a *backupAnswer) ledgerFile() error {
	l, _, err := a.n.archive()
	if err != nil {
		return err
	}
	f, _, err := l.OpenFile(a.r.PathValue("name"))
	if errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errNoObject, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errBadAsk, err)
	}
	s, err := sumOf(a.ctx, f)
	if err == nil {
		err = a.send(f, &s)
	}
	return errors.Join(err, f.Close())
}

// send answers with a file.
func (a *backupAnswer) send(f vfs.File, sum *fileSum) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	h := a.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(st.Size(), 10))
	if sum != nil {
		h.Set(backup.SumHeader, hex.EncodeToString(sum.sum[:]))
	}
	a.begun = true
	if a.r.Method == http.MethodHead {
		return nil
	}
	_, err = io.Copy(a.patient(), endingReader{a.ctx, io.NewSectionReader(f, 0, st.Size())})
	return err
}

// patientWriter gives whoever reads the answer a time for each part of it.
type patientWriter struct {
	w       io.Writer
	control *http.ResponseController
}

func (a *backupAnswer) patient() io.Writer {
	return patientWriter{a.w, http.NewResponseController(a.w)}
}

func (p patientWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(backupSend)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.w.Write(b)
}

// blobs answers ?after=INCARNATION-COUNTER with a page of the state's blobs.
func (a *backupAnswer) blobs() error { return a.page(a.run.page) }

// lost answers ?after=INCARNATION-COUNTER with a page of the state's blobs that are lost.
func (a *backupAnswer) lost() error { return a.page(a.run.lost) }

func (a *backupAnswer) page(of func(after *event.BlobID) ([]backup.Blob, bool, error)) error {
	after, err := blobIDIn(a.r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	blobs, more, err := of(after)
	if err != nil {
		return err
	}
	a.w.Header().Set("Content-Type", "application/octet-stream")
	a.w.Header().Set(backup.MoreHeader, strconv.FormatBool(more))
	a.begun = true
	_, err = a.patient().Write(backup.EncodeBlobRows(blobs))
	return err
}

// blobIDIn reads an id as paths have it; nil: "".
func blobIDIn(text string) (*event.BlobID, error) {
	if text == "" {
		return nil, nil
	}
	first, second, _ := strings.Cut(text, "-")
	incarnation, err1 := strconv.ParseUint(first, 10, 64)
	counter, err2 := strconv.ParseUint(second, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%w: %q is no blob's id", errBadAsk, text)
	}
	return &event.BlobID{Incarnation: incarnation, Counter: counter}, nil
}

// pieces answers with pieces of blobs, as backup.EncodeAsks says.
func (a *backupAnswer) pieces() error {
	control := http.NewResponseController(a.w)
	body, err := io.ReadAll(&timelyBody{http.MaxBytesReader(a.w, a.r.Body, backup.MaxAskBytes), control, a.n.backups.idle()})
	if err != nil {
		return fmt.Errorf("%w: %w", errBadAsk, err)
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil { // the answer may take longer
		return err
	}
	asks, ok := backup.DecodeAsks(body)
	if !ok {
		return fmt.Errorf("%w: these are no pieces of blobs", errBadAsk)
	}
	select {
	case a.n.backups.readers <- struct{}{}:
		defer func() { <-a.n.backups.readers }()
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
	v, err := a.run.still.View()
	if err != nil {
		return err
	}
	defer v.Close()
	a.w.Header().Set("Content-Type", "application/octet-stream")
	a.begun = true
	w := a.patient()
	for _, ask := range asks {
		p, err := a.run.piece(a.ctx, v, ask)
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		if err := tellPiece(w, p, err); err != nil {
			return err
		}
	}
	return nil
}

// tellPiece writes one piece of an answer, or why there is none.
func tellPiece(w io.Writer, p []byte, failed error) error {
	if failed != nil {
		text := failed.Error()
		text = text[:min(len(text), 1000)]
		b := binary.BigEndian.AppendUint32([]byte{backup.PieceFailed}, uint32(len(text)))
		_, err := w.Write(append(b, text...))
		return err
	}
	if _, err := w.Write(binary.BigEndian.AppendUint32([]byte{backup.PieceRead}, uint32(len(p)))); err != nil {
		return err
	}
	if _, err := w.Write(p); err != nil {
		return err
	}
	sum := digest.SHA256(p)
	_, err := w.Write(sum[:])
	return err
}
