package load

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"ironman/sim/history"
)

// An Erasure is a key that was there and whose name is to be erased. Nothing that anybody
// asked about it has an open outcome, so that nobody will ever write the name again.
type Erasure struct {
	Key, Header string // that must be nowhere afterwards
}

// Bury puts and deletes an object under a name of its own, until all of it was answered; nil:
// ctx ended first.
func (c *Client) Bury(ctx context.Context) *Erasure {
	for ctx.Err() == nil {
		var id [16]byte
		for i := range id {
			id[i] = byte(c.rng.Uint32())
		}
		e := &Erasure{Key: "gone/" + hex.EncodeToString(id[:8]), Header: hex.EncodeToString(id[8:])}
		if c.bury(context.WithoutCancel(ctx), e) {
			return e
		}
		pause(ctx, time.Second)
	}
	return nil
}

func (c *Client) bury(ctx context.Context, e *Erasure) bool {
	for range 2 { // so that one of them is in history for having been replaced
		v, node := c.value(), c.node()
		a := c.send(ctx, node, ask{method: "PUT", path: path(e.Key), body: body(v), header: http.Header{"X-Amz-Meta-Who": {e.Header}}})
		c.refuseOdd(a, "PUT "+e.Key, 200)
		c.record(node, a, history.Op{Kind: history.Put, How: "buried", Key: e.Key, Value: v})
		if a.told() != 200 {
			return false
		}
	}
	node := c.node()
	a := c.send(ctx, node, ask{method: "DELETE", path: path(e.Key)})
	c.refuseOdd(a, "DELETE "+e.Key, 204)
	c.record(node, a, history.Op{Kind: history.Delete, How: "buried", Key: e.Key})
	return a.told() == 204
}

// Erase asks a node to erase what was buried, once. An error says why it is not to be yet.
func (c *Client) Erase(ctx context.Context, node int, e *Erasure) error {
	request := fmt.Appendf(nil, `{"bucket":%q,"keys":[%q]}`, bucket, e.Key)
	status, text, err := c.of.Admin(ctx, node, http.MethodPost, "/-/erasures", request)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("load: an erasure: %d %.200q: %w", status, text, err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte{'\n'})
	var last struct {
		Plan   *struct{ Payloads int }
		Error  string
		Status int
	}
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		return fmt.Errorf("load: an erasure: %w: %.200q", err, text)
	}
	if last.Error == "" && last.Plan != nil {
		c.of.Did(ErasedKey)
		return nil
	}
	if last.Status < 500 && !strings.Contains(last.Error, "in the history that is kept") {
		c.of.Violated("I20", "the erasure of %s through node %d was answered %d: %s", e.Key, node, last.Status, last.Error)
	}
	return fmt.Errorf("load: an erasure: %d %s", last.Status, last.Error)
}
