package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// TestOneWinner: of many writers that want a key to be absent, exactly one wins. What races
// through several nodes is in TestClusterRaces.
func TestOneWinner(t *testing.T) {
	const writers = 32
	p := newProcess(t)
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/race", nil)
	answers := make([]*answer, writers)
	for round := range rounds(20, 40, 200) {
		key := fmt.Sprintf("/race/%d", round%20)
		if round >= 20 {
			c.must(t, 204, "DELETE", key, nil) // the key was there before
		}
		start := make(chan struct{})
		var wait sync.WaitGroup
		for i := range writers {
			wait.Go(func() {
				<-start
				a, err := c.try("PUT", key, fmt.Appendf(nil, "writer %d of round %d", i, round), header("If-None-Match", "*"))
				if err != nil {
					t.Error(err)
					a = &answer{}
				}
				answers[i] = a
			})
		}
		close(start)
		wait.Wait()
		winner := -1
		for i, a := range answers {
			switch {
			case a.status == 200 && winner >= 0:
				t.Fatalf("round %d: %d and %d both won", round, winner, i)
			case a.status == 200:
				winner = i
			case a.status == http.StatusPreconditionFailed && a.code() == "PreconditionFailed":
			default:
				t.Fatalf("round %d: writer %d got %v", round, i, a)
			}
		}
		if winner < 0 {
			t.Fatalf("round %d: nobody won", round)
		}
		if got := c.must(t, 200, "GET", key, nil); !bytes.Equal(got.body, fmt.Appendf(nil, "writer %d of round %d", winner, round)) {
			t.Fatalf("round %d: %d won, but %q is there", round, winner, got.body)
		}
	}
}

// TestOneWinnerAmongUploads: the same for completions of multipart uploads, and for
// replacements of one known version.
func TestOneWinnerAmongUploads(t *testing.T) {
	const writers = 8
	p := newProcess(t)
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/race", nil)
	first := []byte("first")
	c.must(t, 200, "PUT", "/race/key", first)
	for round := range 10 {
		current := c.must(t, 200, "HEAD", "/race/key", nil).header.Get("Etag")
		loaders := make([]*loader, writers)
		for i := range loaders {
			loaders[i] = newLoader("race", i, nil)
			loaders[i].client = c
		}
		var mu sync.Mutex
		won := 0
		var wait sync.WaitGroup
		for i, l := range loaders {
			wait.Go(func() {
				b := content(uint64(100*round+i+1), 1000)
				var a *answer
				var err error
				if i%2 == 0 {
					a, err = c.try("PUT", "/race/key", b, header("If-Match", current))
				} else {
					a, err = l.completeIf(b, current)
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case a.status == 200:
					won++
				case a.status != 412:
					t.Errorf("round %d: %v", round, a)
				}
			})
		}
		wait.Wait()
		if won != 1 {
			t.Fatalf("round %d: %d won", round, won)
		}
	}
}

// completeIf uploads b in one part and completes it if the key still has a tag.
func (l *loader) completeIf(b []byte, tag string) (*answer, error) {
	a, err := l.send(200, "POST", "/race/key?uploads", []byte{})
	if err != nil {
		return nil, err
	}
	_, id, _ := bytes.Cut(a.body, []byte("<UploadId>"))
	id, _, _ = bytes.Cut(id, []byte("</UploadId>"))
	if _, err := l.send(200, "PUT", fmt.Sprintf("/race/key?partNumber=1&uploadId=%s", id), b); err != nil {
		return nil, err
	}
	doc := fmt.Sprintf("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>", etag(b))
	return l.client.try("POST", fmt.Sprintf("/race/key?uploadId=%s", id), []byte(doc), header("If-Match", tag))
}
