package server_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ironman/s3api/transaction"
)

// pairRace is two keys that are raced for by transactions, again and again.
type pairRace struct {
	*trio
	bucket string
	keys   [2]string
	tags   [2]string // of what is there; empty: nothing
	staged [racers][2]*stagedPair
	made   int
}

type stagedPair struct {
	put     transaction.Put
	content []byte
}

// pairAttempt is one racer's transaction, and what it leaves at the two keys; nil: nothing.
type pairAttempt struct {
	body   []byte
	leaves [2][]byte
	used   [2]bool // staged objects
	answer *answer
	err    error
}

// TestClusterTransactionRaces: of 32 transactions on the same two keys through three
// nodes, each on the condition that both are what was seen, exactly one is done; the others
// are refused, and all nodes show both keys as the winner left them, never a mix.
func TestClusterTransactionRaces(t *testing.T) {
	c := startTrio(t)
	var all []*pairRace
	for i, bucket := range []string{"pair", "versions"} {
		c.clients[0].must(t, 200, "PUT", "/"+bucket, nil)
		if i == 1 {
			c.clients[0].must(t, 200, "PUT", "/versions?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
		}
		all = append(all, &pairRace{trio: c, bucket: bucket, keys: [2]string{"left", "right"}})
	}
	for n := range 2 * racers {
		c.clients[n%3].must(t, 200, "PUT", fmt.Sprintf("/pair/source-%d", n), raceSource(n))
	}
	refused := make(map[string]int)
	n := c.raceRounds(rounds(4, 16, 400))
	for round := range n {
		all[round%2].run(round/2, refused)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds of %d transactions, a winner each; of the others %v", n, racers, refused)
	c.agree(0, 1, 2)
}

func (r *pairRace) run(round int, refused map[string]int) {
	r.Helper()
	attempts := make([]*pairAttempt, racers)
	for n := range attempts {
		attempts[n] = r.attempt(round, n)
	}
	begin := make(chan struct{})
	var wait sync.WaitGroup
	for n, a := range attempts {
		wait.Go(func() {
			<-begin
			a.answer, a.err = r.clients[n%3].try("POST", "/"+r.bucket+"?transaction", a.body)
		})
	}
	close(begin)
	wait.Wait()
	winner := -1
	for n, a := range attempts {
		switch {
		case a.err != nil:
			r.Fatalf("%s, round %d: racer %d: %v", r.bucket, round, n, a.err)
		case a.answer.status == 200 && winner >= 0:
			r.Fatalf("%s, round %d: %d and %d both won", r.bucket, round, winner, n)
		case a.answer.status == 200:
			winner = n
		case a.answer.code() != "PreconditionFailed" && a.answer.code() != "NoSuchKey":
			r.Fatalf("%s, round %d: racer %d was told %v", r.bucket, round, n, a.answer)
		default:
			refused[a.answer.code()]++
		}
	}
	if winner < 0 {
		r.Fatalf("%s, round %d: nobody won; the first was told %v", r.bucket, round, attempts[0].answer)
	}
	w := attempts[winner]
	for side, key := range r.keys {
		if w.used[side] {
			r.staged[winner][side] = nil
		}
		r.tags[side] = ""
		for i := range r.nodes {
			target := "/" + r.bucket + "/" + key
			if w.leaves[side] == nil {
				r.clients[i].refused(r, 404, "NoSuchKey", "GET", target, nil)
				continue
			}
			a := r.clients[i].must(r, 200, "GET", target, nil)
			if string(a.body) != string(w.leaves[side]) {
				r.Errorf("%s, round %d: racer %d left %q at %s, node %d shows %q", r.bucket, round, winner, w.leaves[side], key, i+1, a.body)
			}
			r.tags[side] = a.header.Get("Etag")
		}
	}
}

// attempt makes the transaction of one racer: two puts, a copy and a put, or a delete and
// a put.
func (r *pairRace) attempt(round, n int) *pairAttempt {
	r.Helper()
	a := &pairAttempt{}
	var ops []transaction.Operation
	for side, key := range r.keys {
		how := (n/3 + side) % 4
		switch match, none := r.tags[side], ""; {
		case how == 2 && side == 0:
			source := round%2*racers + n
			a.leaves[side] = raceSource(source)
			if match == "" {
				none = "*"
			}
			ops = append(ops, transaction.Operation{Copy: &transaction.Copy{
				Key: key, Source: transaction.Source{Bucket: "pair", Key: fmt.Sprintf("source-%d", source)}, IfMatch: match, IfNoneMatch: none,
			}})
		case how == 3 && match != "" && len(ops) == 0:
			ops = append(ops, transaction.Operation{Delete: &transaction.Delete{Key: key, IfMatch: match}})
		default:
			if match == "" {
				none = "*"
			}
			s := r.stage(n, side)
			a.leaves[side], a.used[side] = s.content, true
			put := s.put
			put.IfMatch, put.IfNoneMatch = match, none
			ops = append(ops, transaction.Operation{Put: &put})
		}
	}
	if n%2 == 1 {
		slices.Reverse(ops) // the order does not matter
	}
	a.body = document(ops...)
	return a
}

// stage gives a racer something to put; what a loser has staged stays for the next round.
func (r *pairRace) stage(n, side int) *stagedPair {
	r.Helper()
	if r.staged[n][side] == nil {
		c := r.clients[(n+1)%3]
		r.made++
		content := fmt.Appendf(nil, "upload %d", r.made)
		x := &transactor{r, c, r.bucket}
		r.staged[n][side] = &stagedPair{*x.stage(r.keys[side], nil, content).Put, content}
	}
	return r.staged[n][side]
}

// pairWriter writes two keys by one transaction after the other. One whose outcome it was
// not told it sends again, through the next node, until it is.
type pairWriter struct {
	*trio
	name     string
	stop     chan struct{}
	acked    atomic.Uint64 // transactions, and
	repeated int           // of them those that were told by a repetition
	mu       sync.Mutex
	seqs     []uint64 // events that are known
}

func (w *pairWriter) content(i uint64) string { return fmt.Sprintf("%s, transaction %d", w.name, i) }

func (w *pairWriter) run() {
	for i := uint64(1); ; i++ {
		body := w.stage([]byte(w.content(i)), i)
		if body == nil {
			return
		}
		for node := i; ; node++ {
			a, err := w.clients[node%3].try("POST", "/pairs?transaction", body)
			if err != nil || a.status >= 500 {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			var done transaction.Answer
			if a.status != 200 || json.Unmarshal(a.body, &done) != nil {
				w.Errorf("%s was told %v", w.content(i), a)
				return
			}
			if done.Repeated {
				w.repeated++
			}
			w.mu.Lock()
			w.seqs = append(w.seqs, done.Sequence)
			w.mu.Unlock()
			w.acked.Store(i)
			break
		}
	}
}

// stage uploads what both keys are to hold; nil: it was stopped before that.
func (w *pairWriter) stage(b []byte, node uint64) []byte {
	for ; ; node++ {
		select {
		case <-w.stop:
			return nil
		default:
		}
		var ops []transaction.Operation
		c := w.clients[node%3]
		for _, side := range []string{"-left", "-right"} {
			a, err := c.try("POST", "/pairs/"+w.name+side+"?uploads", []byte{})
			if err != nil || a.status != 200 {
				break
			}
			_, id, _ := strings.Cut(string(a.body), "<UploadId>")
			id, _, _ = strings.Cut(id, "</UploadId>")
			if a, err := c.try("PUT", "/pairs/"+w.name+side+"?partNumber=1&uploadId="+id, b); err != nil || a.status != 200 {
				break
			}
			ops = append(ops, transaction.Operation{Put: &transaction.Put{Key: w.name + side, UploadID: id, Parts: []transaction.Part{{PartNumber: 1, ETag: etag(b)}}}})
		}
		if len(ops) == 2 {
			return document(ops...)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// check reads both keys as of a known event, and wants them equal. It is false where a node
// did not answer.
func (w *pairWriter) check(rng *rand.Rand) bool {
	w.mu.Lock()
	seqs := slices.Clone(w.seqs)
	w.mu.Unlock()
	if len(seqs) == 0 {
		return false
	}
	at := header(asOf, strconv.FormatUint(seqs[rng.IntN(len(seqs))]-uint64(rng.IntN(2)), 10))
	left, err1 := w.clients[rng.IntN(3)].try("GET", "/pairs/"+w.name+"-left", nil, at)
	right, err2 := w.clients[rng.IntN(3)].try("GET", "/pairs/"+w.name+"-right", nil, at)
	if err1 != nil || err2 != nil || left.status >= 500 || right.status >= 500 {
		return false
	}
	if left.status != right.status || left.status == 200 && string(left.body) != string(right.body) {
		w.Errorf("of one event node shows %v, and of the other key %v", left, right)
	}
	return true
}

// TestClusterTransactionKill kills nodes with SIGKILL while transactions are committed. At
// every moment, and in the end, both keys of each are of the same one; each that was
// acknowledged is there, and a client that asks again is told.
func TestClusterTransactionKill(t *testing.T) {
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/pairs", nil)
	stop := make(chan struct{})
	var writers []*pairWriter
	var working, checking sync.WaitGroup
	for n := range 8 {
		w := &pairWriter{trio: c, name: fmt.Sprint("writer-", n), stop: stop}
		writers = append(writers, w)
		working.Go(w.run)
	}
	var checks atomic.Int64
	checking.Go(func() {
		rng := rand.New(rand.NewPCG(7, 7))
		for {
			select {
			case <-stop:
				return
			default:
			}
			if writers[rng.IntN(len(writers))].check(rng) {
				checks.Add(1)
			} else {
				time.Sleep(10 * time.Millisecond)
			}
		}
	})
	kills := rounds(2, 4, 20)
	for n := range kills {
		victim := c.leader(all()...)
		if n%2 == 1 {
			victim = (victim + 1) % 3
		}
		before := make([]uint64, len(writers))
		for i, w := range writers {
			before[i] = w.acked.Load()
		}
		c.await("transactions are acknowledged", func() error {
			for i, w := range writers {
				if now := w.acked.Load(); now < before[i]+5 {
					return fmt.Errorf("%s: %d", w.name, now-before[i])
				}
			}
			return nil
		})
		c.nodes[victim].kill()
		time.Sleep(500 * time.Millisecond)
		c.restart(victim)
		c.settled()
		if t.Failed() {
			break
		}
	}
	close(stop)
	checking.Wait()
	working.Wait()
	total, repeated := uint64(0), 0
	for _, w := range writers {
		last := w.acked.Load()
		for i := range c.nodes {
			c.reads(i, "/pairs/"+w.name+"-left", []byte(w.content(last)))
			c.reads(i, "/pairs/"+w.name+"-right", []byte(w.content(last)))
		}
		total, repeated = total+last, repeated+w.repeated
	}
	if checks.Load() < 20 {
		t.Errorf("only %d checks", checks.Load())
	}
	c.agree(all()...)
	t.Logf("%d kills; %d transactions, of which %d were told by a repetition; %d checks meanwhile", kills, total, repeated, checks.Load())
}
