package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// registerModel is a key as a sequential register, for requests some of which had no
// answer: those are done at most once, at any time after they began, or never, which
// is the same as behind everything else.
func registerModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			r := &request{in: input.(register), out: output.(outcome)}
			if r.out.status == 0 {
				r.out.status = r.likely(state.(string))
			}
			next, ok := r.step(state.(string))
			return ok, next
		},
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%+v: %+v", input, output)
		},
	}
}

// likely is how a change is answered that finds the key in this state.
func (r *request) likely(now string) int {
	switch in := r.in; {
	case in.op == "delete":
		return 204
	case in.op == "create" && now != "", in.op == "replace" && now != "" && now != in.match:
		return 412
	case in.op == "replace" && now == "":
		return 404
	}
	return 200
}

// TestRegisterModel: the model allows what may have happened, and nothing else.
func TestRegisterModel(t *testing.T) {
	op := func(op, value, match string, status int, read string, call, end int64) porcupine.Operation {
		if end == 0 {
			end = never
		}
		return porcupine.Operation{Input: register{op, value, match}, Output: outcome{status, read}, Call: call, Return: end}
	}
	for name, tc := range map[string]struct {
		h  []porcupine.Operation
		ok bool
	}{
		"a stale read":                      {[]porcupine.Operation{op("put", "a", "", 200, "", 0, 1), op("put", "b", "", 200, "", 2, 3), op("get", "", "", 200, "a", 4, 5)}, false},
		"unknown, done late":                {[]porcupine.Operation{op("put", "a", "", 0, "", 0, 0), op("put", "b", "", 200, "", 2, 3), op("get", "", "", 200, "a", 4, 5)}, true},
		"unknown, never done":               {[]porcupine.Operation{op("put", "a", "", 0, "", 0, 0), op("put", "b", "", 200, "", 2, 3), op("get", "", "", 200, "b", 4, 5)}, true},
		"unknown, done twice":               {[]porcupine.Operation{op("put", "a", "", 0, "", 0, 0), op("get", "", "", 200, "a", 1, 2), op("put", "b", "", 200, "", 3, 4), op("get", "", "", 200, "a", 5, 6)}, false},
		"two winners":                       {[]porcupine.Operation{op("create", "a", "", 200, "", 0, 5), op("create", "b", "", 200, "", 1, 6)}, false},
		"an unknown winner":                 {[]porcupine.Operation{op("create", "a", "", 0, "", 0, 0), op("create", "b", "", 412, "", 1, 6)}, true},
		"an unknown replacement":            {[]porcupine.Operation{op("put", "a", "", 200, "", 0, 1), op("replace", "b", "a", 0, "", 2, 0), op("get", "", "", 200, "b", 3, 4)}, true},
		"an unknown replacement of another": {[]porcupine.Operation{op("put", "a", "", 200, "", 0, 1), op("replace", "b", "x", 0, "", 2, 0), op("get", "", "", 200, "b", 3, 4)}, false},
	} {
		if got := porcupine.CheckOperations(registerModel(), tc.h); got != tc.ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// never is when a request without an answer ends.
const never = int64(1) << 62

// TestClusterHistory: while nodes are killed, every key behaves as if its requests,
// through all nodes, came one after the other, each between its beginning and its answer.
func TestClusterHistory(t *testing.T) {
	t.Parallel()
	const clients, keys = 6, 4
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/history", nil)
	h := &history{c: c, begin: time.Now(), ops: make([][]porcupine.Operation, keys)}
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for n := range clients {
		wait.Go(func() { h.client(ctx, n) })
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for n := range rounds(1, 2, 10) {
		time.Sleep(500 * time.Millisecond)
		victim := c.leader(all()...)
		if n%3 == 1 {
			victim = rng.IntN(3)
		}
		c.nodes[victim].kill()
		time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		c.restart(victim)
		c.settled()
	}
	time.Sleep(300 * time.Millisecond)
	stop()
	wait.Wait()
	h.judge()
	c.agree(all()...)
}

// history is what several clients asked and were answered.
type history struct {
	c     *trio
	begin time.Time

	mu       sync.Mutex
	ops      [][]porcupine.Operation // by key
	answered int
	unknown  int
}

func (h *history) client(ctx context.Context, n int) {
	rng := rand.New(rand.NewPCG(uint64(n), 5))
	last := make([]string, len(h.ops)) // what this client saw last
	for i := 0; ctx.Err() == nil; i++ {
		key := rng.IntN(len(h.ops))
		in := chooseRequest(rng, fmt.Sprintf("%d/%d", n, i), last[key])
		client := *h.c.clients[rng.IntN(3)]
		client.limit = 4 * time.Second
		call := time.Since(h.begin)
		out, err := client.ask(in, fmt.Sprintf("/history/%d", key))
		end := time.Since(h.begin)
		if last[key] = out.value; in.op != "get" {
			last[key] = in.value
		}
		if !h.add(key, n, in, out, err, call, end) {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// add records a request; false if it had no answer.
func (h *history) add(key, client int, in register, out outcome, err error, call, end time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(call), Return: int64(end)}
	if err != nil || out.status >= 500 {
		var op *net.OpError
		if in.op == "get" || errors.As(err, &op) && op.Op == "dial" {
			return false // it told nothing, or was never sent
		}
		h.unknown++
		o.Output, o.Return = outcome{}, never
		o.ClientId = 1000 + h.unknown // a client has one request at a time
		h.ops[key] = append(h.ops[key], o)
		return false
	}
	h.answered++
	h.ops[key] = append(h.ops[key], o)
	return true
}

func (h *history) judge() {
	h.c.Helper()
	for key, ops := range h.ops {
		if got := porcupine.CheckOperationsTimeout(registerModel(), ops, 30*time.Second); got != porcupine.Ok {
			h.c.Errorf("the %d requests to key %d: %s", len(ops), key, got)
		}
	}
	if h.answered < 300 {
		h.c.Errorf("only %d requests were answered: not much of a history", h.answered)
	}
	h.c.Logf("%d requests answered, %d changes without an answer", h.answered, h.unknown)
}
