package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ironman/wal/digest"
)

// Admin asks a node's admin listener for what a backup is made of. Safe for concurrent use.
type Admin struct {
	address, access, secret string
	http                    *http.Client
}

// NewAdmin asks the node at an address, such as "http://127.0.0.1:9200", with the root keys.
func NewAdmin(address, access, secret string) *Admin {
	return &Admin{
		address: strings.TrimSuffix(address, "/"), access: access, secret: secret,
		http: &http.Client{Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second, Proxy: http.ProxyFromEnvironment,
			ResponseHeaderTimeout: adminAnswer, DisableCompression: true, MaxIdleConnsPerHost: 2 * workers,
		}},
	}
}

const (
	// adminAnswer is how long the first byte of an answer may take: a state is made durable, and
	// files are read before their sums can be told.
	adminAnswer = 5 * time.Minute
	// maxAnswer bounds answers that are no files.
	maxAnswer = 64 << 20
)

// statusError is an answer that is none of success.
type statusError struct {
	what   string
	status int
	text   string
}

func (s *statusError) Error() string {
	return fmt.Sprintf("%s: the node answered %d: %s", s.what, s.status, s.text)
}

// passing tells whether trying again may help: nobody answered, or somebody who could not now.
func passing(err error) bool {
	var s *statusError
	if errors.As(err, &s) {
		return s.status >= 500 && s.status != http.StatusNotImplemented || s.status == http.StatusRequestTimeout || s.status == http.StatusTooManyRequests
	}
	if errors.As(err, new(*placeError)) {
		return false
	}
	var r *refusal
	if errors.As(err, &r) {
		return r.status >= 500 && r.status != http.StatusNotImplemented || r.status == http.StatusRequestTimeout || r.status == http.StatusTooManyRequests
	}
	return !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrNotFound)
}

// Pauses between tries, and for how long there are any.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	patience   = time.Minute
)

// persist tries until it is done, or another try would not help, or for long.
func persist(ctx context.Context, try func() error) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := try()
		if err == nil || !passing(err) || ctx.Err() != nil || time.Since(began) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// send asks once. Whoever gets an answer closes its body.
func (a *Admin) send(ctx context.Context, method, path string, q url.Values, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.URL.RawQuery = q.Encode()
	r.SetBasicAuth(a.access, a.secret)
	resp, err := a.http.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what came of it will do
	return nil, &statusError{method + " " + path, resp.StatusCode, strings.TrimSpace(string(b))}
}

// document asks until it is answered, and reads the answer.
func (a *Admin) document(ctx context.Context, method, path string, q url.Values) (b []byte, h http.Header, err error) {
	err = persist(ctx, func() error {
		resp, err := a.send(ctx, method, path, q, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		h = resp.Header
		b, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if len(b) > maxAnswer {
			return fmt.Errorf("%w: %s: an answer of more than %d bytes", ErrDamaged, path, maxAnswer)
		}
		return err
	})
	return b, h, err
}

func runPath(run string, more string) string { return "/-/backups/" + run + more }

// Begin has the node make a point and keep it. newest is the newest point of the target; nil:
// there is none.
func (a *Admin) Begin(ctx context.Context, newest *Point) (*Run, error) {
	q := url.Values{}
	if newest != nil {
		q = url.Values{"seq": {strconv.FormatUint(newest.Seq, 10)}, "size": {strconv.FormatUint(newest.Ledger.Size, 10)}, "root": {newest.Ledger.Root}}
	}
	b, _, err := a.document(ctx, http.MethodPost, "/-/backups", q)
	if err != nil {
		return nil, err
	}
	r := &Run{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("backup: the node's answer: %w", err)
	}
	if err := r.Source.check(); err != nil || !ValidRun(r.Run) || r.Lease < 1 || r.Log.File.check() != nil {
		return nil, errors.Join(fmt.Errorf("backup: the node at %s answers with what is no backup", a.address), err)
	}
	return r, nil
}

// Renew goes on with a run.
func (a *Admin) Renew(ctx context.Context, run string) error {
	resp, err := a.send(ctx, http.MethodPost, runPath(run, "/renew"), nil, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// End gives a run up.
func (a *Admin) End(ctx context.Context, run string) error {
	resp, err := a.send(ctx, http.MethodDelete, runPath(run, ""), nil, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// StateFiles tells the files of the state. The node reads all of them for it; told hears of each.
func (a *Admin) StateFiles(ctx context.Context, run string, told func(File)) (files []File, err error) {
	err = persist(ctx, func() error {
		files = nil
		resp, err := a.send(ctx, http.MethodGet, runPath(run, "/state"), nil, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		d := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
		for {
			var line struct {
				*File
				Error string `json:"error"`
			}
			if err := d.Decode(&line); err != nil {
				return fmt.Errorf("backup: the list of the state's files broke off: %w", err)
			}
			switch {
			case line.Error != "":
				return fmt.Errorf("%w: the node cannot read its state: %s", ErrDamaged, line.Error)
			case line.File == nil:
				return nil
			}
			if err := line.File.check(); err != nil {
				return fmt.Errorf("%w: the state's file %q: %w", ErrDamaged, line.File.Name, err)
			}
			told(*line.File)
			files = append(files, *line.File)
		}
	})
	return files, err
}

// open begins to read something of a run.
func (a *Admin) open(ctx context.Context, path string) (io.ReadCloser, error) {
	resp, err := a.send(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// StateFile is a file of the state.
func (a *Admin) StateFile(run string, f File) Content {
	return Content{Size: f.Size, Sum: f.sum(), Open: func(ctx context.Context) (io.ReadCloser, error) {
		return a.open(ctx, runPath(run, "/state/"+url.PathEscape(f.Name)))
	}}
}

// Entries are the entries of the log.
func (a *Admin) Entries(run string, f File) Content {
	return Content{Size: f.Size, Sum: f.sum(), Open: func(ctx context.Context) (io.ReadCloser, error) {
		return a.open(ctx, runPath(run, "/entries"))
	}}
}

// Erased tells the bundles of the ledger of which something was erased by law.
func (a *Admin) Erased(ctx context.Context, run string) (bundles []uint64, err error) {
	b, _, err := a.document(ctx, http.MethodGet, runPath(run, "/erased"), nil)
	if err == nil {
		err = json.Unmarshal(b, &bundles)
	}
	return bundles, err
}

// smallLedgerFile is up to what size a file of the ledger is read once, into memory.
const smallLedgerFile = 8 << 20

// LedgerFile is a file of the ledger as it is now.
func (a *Admin) LedgerFile(ctx context.Context, run, name string) (c Content, err error) {
	path := runPath(run, "/"+ledgerPrefix+name)
	err = persist(ctx, func() error {
		resp, err := a.send(ctx, http.MethodGet, path, nil, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		c.Size = resp.ContentLength
		if c.Sum, err = sumIn(resp.Header); err != nil || c.Size < 0 {
			return fmt.Errorf("%w: %s: an answer without size or sum", ErrDamaged, path)
		}
		if c.Size > smallLedgerFile {
			c.Open = func(ctx context.Context) (io.ReadCloser, error) { return a.open(ctx, path) }
			return nil
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if digest.SHA256(b) != c.Sum {
			return fmt.Errorf("backup: %s: what came has another SHA-256", path)
		}
		c = contentOf(b)
		return nil
	})
	return c, err
}

func sumIn(h http.Header) (s digest.Sum, err error) {
	b, err := hex.DecodeString(h.Get(SumHeader))
	if err == nil && len(b) != len(s) {
		err = errors.New("it is none")
	}
	copy(s[:], b)
	return s, err
}

// Blobs gives a page of the blobs of the state behind one; nil: from the first.
func (a *Admin) Blobs(ctx context.Context, run string, after *BlobID) (blobs []Blob, more bool, err error) {
	return a.blobs(ctx, runPath(run, "/blobs"), after)
}

// Lost gives those blobs of the state that the cluster has lost: too few shards of them are on
// nodes that are not removed.
func (a *Admin) Lost(ctx context.Context, run string) (lost []Blob, err error) {
	var after *BlobID
	for more := true; more; {
		var page []Blob
		if page, more, err = a.blobs(ctx, runPath(run, "/lost"), after); err != nil {
			return nil, err
		}
		if lost = append(lost, page...); more {
			after = &page[len(page)-1].BlobID
		}
	}
	return lost, nil
}

func (a *Admin) blobs(ctx context.Context, path string, after *BlobID) (blobs []Blob, more bool, err error) {
	q := url.Values{}
	if after != nil {
		q.Set("after", after.String())
	}
	b, h, err := a.document(ctx, http.MethodGet, path, q)
	if err != nil {
		return nil, false, err
	}
	blobs, ok := DecodeBlobRows(b)
	more = h.Get(MoreHeader) == "true"
	if !ok || more && len(blobs) == 0 || after != nil && len(blobs) > 0 && !after.Less(blobs[0].BlobID) {
		return nil, false, errors.New("backup: the node's list of blobs cannot be read")
	}
	return blobs, more, nil
}

// Pieces reads pieces of blobs, in order, each into the room that take gives for it. lost hears of
// those that the node cannot read.
func (a *Admin) Pieces(ctx context.Context, run string, asks []Ask, room func(i int) []byte, lost func(i int, why string)) error {
	return persist(ctx, func() error {
		resp, err := a.send(ctx, http.MethodPost, runPath(run, "/pieces"), nil, EncodeAsks(asks))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		for i := range asks {
			why, err := readPiece(resp.Body, room(i))
			if err != nil {
				return fmt.Errorf("backup: the blob %v: %w", asks[i].BlobID, err)
			}
			if why != "" {
				lost(i, why)
			}
		}
		return nil
	})
}

// readPiece reads one piece of an answer, or why there is none.
func readPiece(r io.Reader, room []byte) (why string, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint32(head[1:])
	switch {
	case head[0] == PieceFailed && n <= 4096:
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		return "the node cannot read it: " + string(b), err
	case head[0] != PieceRead || n != uint32(len(room)):
		return "", errors.New("an answer that cannot be understood")
	}
	if _, err := io.ReadFull(r, room); err != nil {
		return "", err
	}
	var sum digest.Sum
	if _, err := io.ReadFull(r, sum[:]); err != nil {
		return "", err
	}
	if digest.SHA256(room) != sum {
		return "", errors.New("what came has another SHA-256")
	}
	return "", nil
}
