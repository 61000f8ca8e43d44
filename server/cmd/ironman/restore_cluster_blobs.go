package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ironman/server"
	"ironman/server/backup"
)

// placePatience is how long no node need take a blob before it is left.
const placePatience = 2 * time.Minute

// placeAnswer is how long a node may take to answer when all bytes of a blob have come.
const placeAnswer = 90 * time.Second

// leftShown is how many blobs that are left are named.
const leftShown = 20

// placeSum is what became of the lost blobs of a cluster.
type placeSum struct {
	Point  uint64     `json:"point"`
	Lost   uint64     `json:"lost"` // when it began
	Placed uint64     `json:"placed"`
	Bytes  uint64     `json:"bytes"`            // of those
	Gone   uint64     `json:"gone"`             // that were placed or released by others meanwhile
	Absent []string   `json:"absent,omitempty"` // that the backup does not have
	Failed []blobLeft `json:"failed,omitempty"` // that no node took, or could not be read
	Left   uint64     `json:"left"`             // in all
	// Warnings tell of disks of nodes that are still members and are not there: what they
	// had is not among the lost.
	Warnings []string `json:"warnings,omitempty"`
}

// blobLeft is a blob that is still lost, and why.
type blobLeft struct {
	Blob string `json:"blob"`
	Why  string `json:"why"`
}

// placing is a run that brings back bytes.
type placing struct {
	from   *backup.Reader
	source *feedSource

	mu       sync.Mutex
	sum      placeSum
	total    uint64 // bytes to come
	done     uint64
	progress *progress
}

// place sends the cluster what it has lost.
func (f *restoreClusterFlags) place(ctx context.Context) error {
	if f.keyring != "" {
		return errors.New("--keyring is for the making of the first node; with --admin bytes are brought back to nodes that run")
	}
	if f.parallel < 1 || f.parallel > 64 {
		return errors.New("--parallel: 1 to 64")
	}
	s, err := (&sourceFlags{addresses: f.admins, dir: f.dir}).open()
	if err != nil {
		return err
	}
	target, err := f.from.target()
	if err != nil {
		return err
	}
	seq, err := f.restoredPoint(ctx, s, target)
	if err != nil {
		return err
	}
	from, err := backup.OpenPoint(ctx, target, seq)
	if err != nil {
		return err
	}
	p := &placing{from: from, source: s, progress: &progress{what: "placed", of: "bytes"}, sum: placeSum{Point: seq}}
	err = p.run(ctx, f.parallel)
	p.progress.end()
	if err != nil {
		return fmt.Errorf("%w\nwhat was placed stays; run it again to go on", err)
	}
	p.sum.Warnings = disksMissing(ctx, s)
	return f.reportPlaced(&p.sum)
}

// restoredPoint finds the point whose bytes the cluster needs. Another one may have other
// bytes under the same id: what was written behind the point that was restored shares ids with
// what the new cluster wrote.
func (f *restoreClusterFlags) restoredPoint(ctx context.Context, s *feedSource, t backup.Target) (uint64, error) {
	source, err := backup.SourceOf(ctx, t)
	if err != nil {
		return 0, err
	}
	var status server.Status
	if err := s.exchange(ctx, http.MethodGet, "/-/status", nil, &status); err != nil {
		return 0, err
	}
	i := slices.IndexFunc(status.PastEpochs, func(e server.PastEpoch) bool { return e.Origin == source.Origin && e.Key == source.Key })
	if i < 0 {
		return 0, fmt.Errorf("the cluster at %s was not restored from this backup, which is of the ledger %s", strings.Join(f.admins, ", "), source.Origin)
	}
	end := status.PastEpochs[i].End
	if f.point != backup.Newest {
		if f.point > end {
			return 0, fmt.Errorf("--point %d: the cluster was restored to event %d, and what the backup has of later ones is none of its bytes", f.point, end-1)
		}
		return f.point, nil
	}
	points, err := backup.Points(ctx, t)
	if err != nil {
		return 0, err
	}
	points = slices.DeleteFunc(points, func(seq uint64) bool { return seq > end })
	if len(points) == 0 {
		return 0, fmt.Errorf("the backup in %s has no point up to event %d, to which the cluster was restored", t, end-1)
	}
	return points[len(points)-1], nil
}

// run counts what is lost and then sends it, some blobs at a time.
func (p *placing) run(ctx context.Context, parallel int) error {
	if err := p.each(ctx, func(b server.LostBlob) error {
		p.sum.Lost++
		p.total += b.Size
		return nil
	}); err != nil {
		return err
	}
	if t, ok := p.source.client.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.ResponseHeaderTimeout = placeAnswer
		p.source.client = &http.Client{Transport: t}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan server.LostBlob)
	var workers sync.WaitGroup
	for i := range parallel {
		workers.Go(func() {
			own := *p.source // it is for one goroutine, and they begin at different nodes
			own.at = i % len(own.addresses)
			for b := range lost {
				p.note(b, p.send(ctx, &own, b))
			}
		})
	}
	err := p.each(ctx, func(b server.LostBlob) error {
		select {
		case lost <- b:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(lost)
	workers.Wait()
	return errors.Join(err, context.Cause(ctx))
}

// each lists what is lost.
func (p *placing) each(ctx context.Context, f func(server.LostBlob) error) error {
	for after := ""; ; {
		var page server.LostBlobs
		if err := p.source.exchange(ctx, http.MethodGet, "/-/blobs/lost", url.Values{"after": {after}}, &page); err != nil {
			return err
		}
		for _, b := range page.Blobs {
			if err := f(b); err != nil {
				return err
			}
		}
		if after = page.After; after == "" {
			return nil
		}
	}
}

// sent is what became of a blob.
type sent struct {
	placed server.Placed
	err    error
}

// send sends one blob to whichever node takes it.
func (p *placing) send(ctx context.Context, s *feedSource, b server.LostBlob) sent {
	id, err := blobOf(b)
	if err != nil {
		return sent{err: err}
	}
	for failures, end := 0, time.Now().Add(placePatience); ; {
		placed, err := p.sendOnce(ctx, s, b.Blob, id)
		if err == nil || final(err) || errors.Is(err, backup.ErrNotFound) || errors.Is(err, backup.ErrDamaged) || ctx.Err() != nil || time.Now().After(end) {
			return sent{placed, err}
		}
		failures++
		if s.rest(ctx, failures) != nil {
			return sent{err: err}
		}
	}
}

// blobOf is a blob as a backup names it.
func blobOf(b server.LostBlob) (backup.Blob, error) {
	x, y, _ := strings.Cut(b.Blob, "-")
	incarnation, err1 := strconv.ParseUint(x, 16, 64)
	counter, err2 := strconv.ParseUint(y, 16, 64)
	if err := errors.Join(err1, err2); err != nil {
		return backup.Blob{}, fmt.Errorf("the node named a blob %q", b.Blob)
	}
	return backup.Blob{BlobID: backup.BlobID{Incarnation: incarnation, Counter: counter}, Size: b.Size}, nil
}

func (p *placing) sendOnce(ctx context.Context, s *feedSource, name string, b backup.Blob) (server.Placed, error) {
	body, err := p.from.OpenBlob(ctx, b)
	if err != nil {
		return "", err
	}
	defer body.Close()
	read := &readError{r: body}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, s.addresses[s.at]+"/-/blobs/"+name, read)
	if err != nil {
		return "", refusedError{err}
	}
	r.ContentLength = int64(b.Size)
	if err := s.sign(r); err != nil {
		return "", refusedError{err}
	}
	resp, err := s.client.Do(r)
	if e := read.failure(); e != nil {
		err = e // what the connection says of it is not the cause
	}
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		err = statusError{s.addresses[s.at], resp.StatusCode, strings.TrimSpace(string(text))}
		if resp.StatusCode < http.StatusInternalServerError {
			err = refusedError{err}
		}
		return "", err
	}
	var answer struct {
		Result server.Placed `json:"result"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", refusedError{fmt.Errorf("%s: %w", s.addresses[s.at], err)}
	}
	return answer.Result, nil
}

// readError remembers why a body could not be read.
type readError struct {
	r   io.Reader
	mu  sync.Mutex
	err error
}

func (r *readError) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if err != nil && err != io.EOF {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}
	return n, err
}

func (r *readError) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// note counts what became of a blob.
func (p *placing) note(b server.LostBlob, s sent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(s.err, context.Canceled):
		return
	case errors.Is(s.err, backup.ErrNotFound):
		p.sum.Absent = append(p.sum.Absent, b.Blob)
		p.sum.Left++
	case s.err != nil:
		p.sum.Failed = append(p.sum.Failed, blobLeft{b.Blob, s.err.Error()})
		p.sum.Left++
	case s.placed == server.PlacedNow:
		p.sum.Placed++
		p.sum.Bytes += b.Size
	default:
		p.sum.Gone++
	}
	p.done += b.Size
	p.progress.at(min(p.done, p.total), p.total)
}

func (f *restoreClusterFlags) reportPlaced(s *placeSum) error {
	if f.from.json {
		if err := printJSON(f.out, s); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(f.out, "%d of %d lost blobs are placed anew (%s), from the point %d\n", s.Placed, s.Lost, sizeText(s.Bytes), s.Point)
		for i, name := range s.Absent {
			if i == leftShown {
				fmt.Fprintf(os.Stderr, "... and %d more that the backup does not have\n", len(s.Absent)-i)
				break
			}
			fmt.Fprintf(os.Stderr, "blob %s: the backup does not have its bytes\n", name)
		}
		for i, b := range s.Failed {
			if i == leftShown {
				fmt.Fprintf(os.Stderr, "... and %d more that failed\n", len(s.Failed)-i)
				break
			}
			fmt.Fprintf(os.Stderr, "blob %s: %s\n", b.Blob, b.Why)
		}
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(os.Stderr, "warning: %s\n", w)
	}
	if len(s.Warnings) > 0 {
		fmt.Fprintln(os.Stderr, "warning: only what was on disks of removed nodes is brought back; remove a node whose disks are lost, and run this again")
	}
	if s.Left > 0 {
		return fmt.Errorf("%d blobs are still lost: %d that the backup does not have, %d that failed, for which it can be run again", s.Left, len(s.Absent), len(s.Failed))
	}
	return nil
}
