package fsm

import (
	"strings"

	"ironman/wal/event"
)

// transact b put:u1:1:12:100 copy:new:b/old@5.0:10 delete:k@6.0 delete:l?e1: a word an
// operation. The parts of an upload are number:seq:size and so on; behind "?" stands the
// entity tag that must be there, or "absent".
func transactCommand(s *script, a args, h *event.Header) *event.Draft {
	b, _ := s.place(a, a.first())
	x := &event.TransactionCommitted{Bucket: b, Request: []byte(a.named["request"])}
	d := event.NewDraft(h, &event.Statement_TransactionCommitted{TransactionCommitted: x})
	for i, w := range a.words[1:] {
		w, cond, _ := strings.Cut(w, "?")
		var c *event.Condition
		switch cond {
		case "":
		case "absent":
			c = &event.Condition{IfAbsent: true}
		default:
			c = &event.Condition{IfMatch: []string{cond}}
		}
		f := strings.Split(w, ":")
		key, op := f[1], &event.TransactionOperation{}
		switch f[0] {
		case "put":
			u := s.uploads[f[1]]
			key = u.key
			op.Completed = &event.UploadCompleted{Bucket: b, Upload: u.id, Etag: f[1], Condition: c}
			for f = f[2:]; len(f) > 0; f = f[3:] {
				op.Completed.Parts = append(op.Completed.Parts, &event.CompletedPart{Number: uint32(a.parse(f[0])), Seq: a.parse(f[1])})
				op.Completed.Size += a.parse(f[2])
			}
		case "copy":
			at, version, _ := strings.Cut(f[2], "@")
			from, source := s.place(a, at)
			op.Copied = &event.ObjectPut{
				Bucket: b, Source: &event.CopySource{Bucket: from, Version: a.version(version)}, Size: a.parse(f[3]), Etag: "copy",
				Owner: "alice", Acl: private("alice"), Condition: c,
			}
			d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, i, source)
		case "delete":
			name, version, named := strings.Cut(f[1], "@")
			key = name
			op.Deleted = &event.DeleteTarget{Condition: c}
			if named {
				op.Deleted.Version = a.version(version)
			}
		default: // none of the three
		}
		x.Operations = append(x.Operations, op)
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, key)
	}
	return d
}
