package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ironman/server/audit"
)

const (
	// eraseBody bounds a request to erase, in bytes.
	eraseBody = 4 << 20
	// eraseSays is how often a search says how far it has come.
	eraseSays = time.Second
	// eraseSend is how long whoever asks may take nothing of it.
	eraseSend = 30 * time.Second
)

// eraseSearches is how many may be under way at once: each reads all of the record.
const eraseSearches = 1

// eraseLine is a line of the answer to a request to erase: how far the search is, an event
// that was found, or, as the last one, what came of it, with nothing found in it.
type eraseLine struct {
	Done  uint64       `json:"done,omitempty"`
	Total uint64       `json:"total,omitempty"`
	Found *audit.Found `json:"found,omitempty"`
	Plan  *ErasePlan   `json:"plan,omitempty"`
	Error string       `json:"error,omitempty"`
	// Status is what the error would be as an answer of its own.
	Status int `json:"status,omitempty"`
}

// erase answers a request to erase, with lines of JSON: the search may take long.
func (n *Node) erase(w http.ResponseWriter, r *http.Request) {
	e := &Erase{}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, eraseBody))
	body.DisallowUnknownFields()
	if err := body.Decode(e); err != nil {
		n.changesError(w, fmt.Errorf("%w: %w", errBadAsk, err))
		return
	}
	if err := e.check(); err != nil {
		n.changesError(w, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.changes.ending, cancel)()
	tell := linesTo(w, cancel)
	tell(&eraseLine{})
	said := time.Now()
	plan, err := n.Erase(ctx, e, func(done, total uint64) {
		if time.Since(said) >= eraseSays {
			said = time.Now()
			tell(&eraseLine{Done: done, Total: total})
		}
	})
	last := &eraseLine{}
	if plan != nil {
		for i := range plan.Found {
			tell(&eraseLine{Found: &plan.Found[i]})
		}
		short := *plan
		short.Found = nil
		last.Plan = &short
	}
	if err != nil {
		last.Status, last.Error = n.eraseError(err)
	}
	tell(last)
}

// linesTo answers with lines of JSON as they come. It ends the work (cancel) if nobody is there
// to read them any more.
func linesTo(w http.ResponseWriter, cancel func()) (tell func(line any)) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, control := json.NewEncoder(w), http.NewResponseController(w)
	return func(line any) {
		if err := control.SetWriteDeadline(time.Now().Add(eraseSend)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			cancel()
		}
		if lines.Encode(line) != nil || control.Flush() != nil {
			cancel()
		}
	}
}

// eraseError is how a failure is told in a line.
func (n *Node) eraseError(err error) (status int, text string) {
	a := &answerText{header: http.Header{}}
	n.changesError(a, err)
	return a.status, a.text
}

// answerText keeps an answer.
type answerText struct {
	header http.Header
	status int
	text   string
}

func (a *answerText) Header() http.Header    { return a.header }
func (a *answerText) WriteHeader(status int) { a.status = status }
func (a *answerText) Write(b []byte) (int, error) {
	a.text += string(b)
	return len(b), nil
}
