package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// racers are how many requests of a round race, a third of them through each node.
const racers = 32

// way is an operation that takes part in a race.
type way int

const (
	byPut way = iota
	byCopy
	byComplete
	byDelete
)

// race is one key that is raced for, again and again, in one manner.
type race struct {
	*trio
	name      string
	bucket    string
	versioned bool
	// replaces: each racer wants the version that is there; otherwise it wants none there.
	replaces bool
	ways     []way

	round   int
	tag     string // of what is there; empty: nothing
	uploads [racers]raceUpload
	made    int // uploads so far

	written, removed int // what the key must have of versions and of markers
}

// raceUpload is an upload of one part that waits for its completion.
type raceUpload struct {
	id      string
	content []byte
}

// attempt is one racer's request.
type attempt struct {
	way    way
	target string
	method string
	change func(*http.Request)
	body   []byte
	leaves []byte // the object, if it wins; nil: none

	answer *answer
	err    error
}

// races are all that there are.
func races(c *trio) (all []*race) {
	for _, versioned := range []bool{false, true} {
		for _, k := range []struct {
			name     string
			replaces bool
			ways     []way
		}{
			{"puts", false, []way{byPut}}, {"puts", true, []way{byPut}},
			{"copies", false, []way{byCopy}}, {"copies", true, []way{byCopy}},
			{"completions", false, []way{byComplete}}, {"completions", true, []way{byComplete}},
			{"deletes", true, []way{byDelete}},
			{"all", false, []way{byPut, byCopy, byComplete}}, {"all", true, []way{byPut, byCopy, byComplete, byDelete}},
		} {
			r := &race{trio: c, name: k.name, bucket: "race", versioned: versioned, replaces: k.replaces, ways: k.ways}
			if k.replaces {
				r.name += "-if-match"
			} else {
				r.name += "-if-none-match"
			}
			if versioned {
				r.bucket = "versions"
			}
			all = append(all, r)
		}
	}
	return all
}

// TestClusterRaces: of requests that race for a key through all nodes, on the same
// condition, exactly one succeeds; everybody else is told that the condition does not
// hold, and all nodes show what the winner left.
func TestClusterRaces(t *testing.T) {
	c := startTrio(t)
	t.Run("one winner", func(t *testing.T) { c.on(t).oneWinner() })
	t.Run("commits", func(t *testing.T) { c.on(t).commits() })
	t.Run("lock", func(t *testing.T) { c.on(t).locks() })
	c.agree(all()...)
}

// on is the same cluster in a part of the test.
func (c *trio) on(t *testing.T) *trio {
	d := *c
	d.TB = t
	return &d
}

// oneWinner does IRONMAN_RACES rounds, one of each kind of race in turn.
func (c *trio) oneWinner() {
	kinds := races(c)
	n := c.raceRounds(rounds(len(kinds), 2*len(kinds), 1000))
	c.clients[0].must(c, 200, "PUT", "/race", nil)
	c.clients[1].must(c, 200, "PUT", "/versions", nil)
	c.clients[2].must(c, 200, "PUT", "/versions?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	for i := range 2 * racers {
		c.clients[i%3].must(c, 200, "PUT", fmt.Sprintf("/race/source-%d", i), raceSource(i))
	}
	refused := make(map[string]int)
	for i := range n {
		r := kinds[i%len(kinds)]
		r.run(refused)
		if c.Failed() {
			return
		}
	}
	for _, r := range kinds {
		r.countVersions()
	}
	c.Logf("%d rounds of %d racers, a winner each; of the others %v", n, racers, refused)
}

// raceRounds is IRONMAN_RACES, or n.
func (c *trio) raceRounds(n int) int {
	c.Helper()
	if v := os.Getenv("IRONMAN_RACES"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			c.Fatal(err)
		}
	}
	return n
}

func raceSource(i int) []byte { return fmt.Appendf(nil, "what source %d holds", i) }

func (r *race) target() string { return "/" + r.bucket + "/" + r.name }

// run does one round.
func (r *race) run(refused map[string]int) {
	r.Helper()
	r.prepare()
	attempts := make([]*attempt, racers)
	for n := range attempts {
		attempts[n] = r.attempt(n)
	}
	begin := make(chan struct{})
	var wait sync.WaitGroup
	for n, a := range attempts {
		wait.Go(func() {
			<-begin
			a.answer, a.err = r.clients[n%3].try(a.method, a.target, a.body, a.change)
		})
	}
	close(begin)
	wait.Wait()
	r.judge(attempts, refused)
	r.round++
}

// prepare has the key hold what this kind of race is about.
func (r *race) prepare() {
	r.Helper()
	c := r.clients[r.round%3]
	switch {
	case r.replaces && r.tag == "":
		b := fmt.Appendf(nil, "what is there before round %d", r.round)
		c.must(r, 200, "PUT", r.target(), b)
		r.tag = etag(b)
		r.written++
	case !r.replaces && r.tag != "":
		c.must(r, 204, "DELETE", r.target(), nil)
		r.tag = ""
		r.removed++
	}
}

// attempt makes the request of one racer. What it would leave is different from what
// any other would, and from what is there.
func (r *race) attempt(n int) *attempt {
	r.Helper()
	a := &attempt{way: r.ways[n/3%len(r.ways)], method: "PUT", target: r.target()}
	condition := header("If-None-Match", "*")
	if r.replaces {
		condition = header("If-Match", r.tag)
	}
	a.change = condition
	switch a.way {
	case byPut:
		a.body = fmt.Appendf(nil, "racer %d of round %d", n, r.round)
		a.leaves = a.body
	case byCopy:
		source := r.round%2*racers + n // not one that the last winner may have copied
		a.body, a.leaves = []byte{}, raceSource(source)
		a.change = func(h *http.Request) {
			condition(h)
			h.Header.Set("X-Amz-Copy-Source", fmt.Sprintf("/race/source-%d", source))
		}
	case byComplete:
		u := &r.uploads[n]
		if u.id == "" {
			r.begin(n)
		}
		a.method, a.target, a.leaves = "POST", r.target()+"?uploadId="+u.id, u.content
		a.body = completion("<ETag>" + etag(u.content) + "</ETag>")
	case byDelete:
		a.method = "DELETE"
	}
	return a
}

// begin gives a racer an upload; one that lost stays for the next round.
func (r *race) begin(n int) {
	r.Helper()
	c, u := r.clients[(n+1)%3], &r.uploads[n]
	r.made++
	u.id, u.content = c.begin(r, r.target()), fmt.Appendf(nil, "upload %d", r.made)
	c.must(r, 200, "PUT", fmt.Sprintf("%s?partNumber=1&uploadId=%s", r.target(), u.id), u.content)
}

// won tells whether an answer is of success. That of a copy or a completion may hold an
// error under the status of success.
func (a *attempt) won() bool {
	return a.answer.status == 204 && a.way == byDelete || a.answer.status == 200 && a.way != byDelete && a.answer.code() == ""
}

// judge wants one winner, the same answer for everybody else, and on all nodes what the
// winner left.
func (r *race) judge(attempts []*attempt, refused map[string]int) {
	r.Helper()
	winner := -1
	for n, a := range attempts {
		switch {
		case a.err != nil:
			r.Fatalf("%s in %s, round %d: racer %d: %v", r.name, r.bucket, r.round, n, a.err)
		case a.won() && winner >= 0:
			r.Fatalf("%s in %s, round %d: %d and %d both won", r.name, r.bucket, r.round, winner, n)
		case a.won():
			winner = n
		}
	}
	if winner < 0 {
		r.Fatalf("%s in %s, round %d: nobody won; the first was told %v", r.name, r.bucket, r.round, attempts[0].answer)
	}
	w := attempts[winner]
	status, code := 412, "PreconditionFailed"
	if w.way == byDelete {
		status, code = 404, "NoSuchKey" // as Amazon says of a condition on what is gone
	}
	for n, a := range attempts {
		if n == winner {
			continue
		}
		checkRefused(r, fmt.Sprintf("%s in %s, round %d: racer %d", r.name, r.bucket, r.round, n), a.answer, nil, status, code)
		refused[code]++
	}
	r.settle(winner, w)
}

// settle remembers what a round left, and looks at it.
func (r *race) settle(winner int, w *attempt) {
	r.Helper()
	if w.way == byComplete {
		r.uploads[winner] = raceUpload{}
	}
	if w.way == byDelete {
		r.tag = ""
		r.removed++
		for i := range r.nodes {
			r.clients[i].refused(r, 404, "NoSuchKey", "GET", r.target(), nil)
		}
		return
	}
	r.written++
	for i := range r.nodes {
		a := r.clients[i].must(r, 200, "GET", r.target(), nil)
		if !bytes.Equal(a.body, w.leaves) {
			r.Errorf("%s in %s, round %d: racer %d won with %q, node %d shows %q", r.name, r.bucket, r.round, winner, w.leaves, i+1, a.body)
		}
		r.tag = a.header.Get("Etag")
	}
}

// countVersions: the key has a version for each that won, and none of those who lost.
func (r *race) countVersions() {
	r.Helper()
	if !r.versioned {
		return
	}
	versions, markers := 0, 0
	pages := s3.NewListObjectVersionsPaginator(newAWS(r.nodes[2], awsCredentials(r.cred)), &s3.ListObjectVersionsInput{Bucket: &r.bucket, Prefix: aws.String(r.name)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(r.Context())
		if err != nil {
			r.Fatal(err)
		}
		versions += len(page.Versions)
		markers += len(page.DeleteMarkers)
	}
	if versions != r.written || markers != r.removed {
		r.Errorf("%s has %d versions and %d markers, not %d and %d", r.name, versions, markers, r.written, r.removed)
	}
}
