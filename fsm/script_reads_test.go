package fsm

import (
	"bytes"
	"fmt"

	"ironman/wal/event"
)

// note-reads 1 of=3 size=10 root=a: the first letter of the root, 32 times
func noteReadsCommand(_ *script, a args, h *event.Header) *event.Draft {
	return event.NewDraft(h, &event.Statement_ReadsNoted{ReadsNoted: &event.ReadsNoted{
		Node: uint32(a.parse(a.first())), Incarnation: a.number("of"), Size: a.number("size"), Root: bytes.Repeat([]byte(a.named["root"]), 32),
	}})
}

// reads 1: what a node noted of its log of reads
func readsQuery(s *script, a args) []string {
	v := s.view()
	defer v.Close()
	h, err := v.ReadsHead(uint32(a.parse(a.first())))
	if h == nil {
		return found(nil, err)
	}
	return found([]string{fmt.Sprintf("  size=%d root=%s incarnation=%d seq=%d time=+%ds", h.Size, h.Root[:1], h.Incarnation, h.Seq, h.Time/1e9-1_800_000_000)}, err)
}
