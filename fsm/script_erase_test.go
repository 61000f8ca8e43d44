package fsm

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"ironman/wal/event"
)

// erase 4 5:0,2 [fills=9]: all of the payload of event 4, two items of that of event 5
func eraseCommand(_ *script, a args, h *event.Header) *event.Draft {
	b := &event.PayloadsErased{}
	if a.named["fills"] != "" {
		b.Fills = a.number("fills")
	}
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			a.t.Fatalf("%s: %v", a.line, err)
		}
		return n
	}
	for _, w := range a.words {
		seq, items, some := strings.Cut(w, ":")
		p := &event.ErasedPayload{Seq: number(seq)}
		if some {
			var places []int
			for _, item := range strings.Split(items, ",") {
				places = append(places, int(number(item)))
			}
			p.Items = ItemSet(places)
		}
		b.Payloads = append(b.Payloads, p)
	}
	return event.NewDraft(h, &event.Statement_PayloadsErased{PayloadsErased: b})
}

// erasures: all of them, and what was erased
func erasuresQuery(s *script, _ args) []string {
	v := s.view()
	defer v.Close()
	list, err := v.Erasures(0, 1000)
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("  erasure %d payloads=%d time=+%ds", e.Seq, e.Row.Payloads, e.Row.Time/1e9-1_800_000_000))
	}
	if err == nil {
		err = s.Erased(0, math.MaxUint64, func(p ErasedPayload) bool {
			line := fmt.Sprintf("  erased %d by=%d", p.Seq, p.By)
			if p.Items == nil {
				line += " all"
			} else {
				line += fmt.Sprintf(" items=%d", p.Items)
			}
			out = append(out, line)
			return true
		})
	}
	return found(out, err)
}
