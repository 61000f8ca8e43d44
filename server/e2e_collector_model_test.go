package server_test

import (
	"maps"
	"slices"
	"time"

	"ironman/wal/event"
)

// collectorModel is what must be on the disks, told from what clients did and from
// nothing that the store counts: no rows, no queues, no references.
type collectorModel struct {
	retention, grace, packGrace time.Duration

	objects map[string]*modelBody
	uploads map[string]*modelUpload
	blobs   []*modelBlob // all that were ever named by an event
	staged  []*stagedBlob
}

// modelBlob is bytes that an event named.
type modelBlob struct {
	blob *event.Blob
	body []byte
	// keep is until when they must stay though nothing current refers to them: for
	// history, and for the grace that follows it.
	keep time.Time
}

// modelBody is an object's body. Copies share it.
type modelBody struct {
	blobs []*modelBlob
	// assembled: its blobs are released after a grace of their own, once the body was.
	assembled bool
}

func (b *modelBody) bytes() (all []byte) {
	for _, m := range b.blobs {
		all = append(all, m.body...)
	}
	return all
}

type modelUpload struct {
	id, key string
	parts   map[int]*modelPart
}

type modelPart struct {
	blobs []*modelBlob
	etag  string
}

// stagedBlob is bytes whose event is still on its way.
type stagedBlob struct {
	blob *event.Blob
	body []byte
	born time.Time
	// given is set once nobody needs the event to succeed; fenced, once it must not.
	given, fenced bool
}

func newCollectorModel() *collectorModel {
	return &collectorModel{
		retention: 20 * time.Minute, grace: 15 * time.Minute, packGrace: time.Minute,
		objects: make(map[string]*modelBody), uploads: make(map[string]*modelUpload),
	}
}

// set makes a body the present one of a key; nil deletes it. What was there goes into
// the history no earlier than now.
func (m *collectorModel) set(key string, b *modelBody, now time.Time) {
	if old := m.objects[key]; old != nil {
		stay := m.retention + m.grace
		if old.assembled {
			stay += m.grace
		}
		keepUntil(old.blobs, now.Add(stay))
	}
	if b == nil {
		delete(m.objects, key)
		return
	}
	m.objects[key] = b
}

// setPart puts a part into an upload. Parts have no history.
func (m *collectorModel) setPart(u *modelUpload, number int, p *modelPart, now time.Time) {
	if old := u.parts[number]; old != nil {
		keepUntil(old.blobs, now.Add(m.grace))
	}
	u.parts[number] = p
}

// end takes an upload away; parts that the object does not take lose their reference.
func (m *collectorModel) end(u *modelUpload, now time.Time) {
	for _, p := range u.parts {
		keepUntil(p.blobs, now.Add(m.grace))
	}
	delete(m.uploads, u.id)
}

func keepUntil(blobs []*modelBlob, t time.Time) {
	for _, b := range blobs {
		if b.keep.Before(t) {
			b.keep = t
		}
	}
}

// referenced are the blobs that something current refers to.
func (m *collectorModel) referenced() map[*modelBlob]bool {
	live := make(map[*modelBlob]bool)
	add := func(blobs []*modelBlob) {
		for _, b := range blobs {
			live[b] = true
		}
	}
	for _, b := range m.objects {
		add(b.blobs)
	}
	for _, u := range m.uploads {
		for _, p := range u.parts {
			add(p.blobs)
		}
	}
	return live
}

// restarted: no event of the incarnation before can name a blob any more.
func (m *collectorModel) restarted() {
	for _, s := range m.staged {
		s.given, s.fenced = true, true
	}
}

// packName is a pack on a disk.
type packName struct {
	disk                uint32
	incarnation, number uint64
}

// packs are those that hold anything of what is referenced.
func (m *collectorModel) packs() map[packName]bool {
	packs := make(map[packName]bool)
	for b := range m.referenced() {
		for _, s := range b.blob.Shards {
			if s.Disk != 0 {
				packs[packName{s.Disk, s.Pack.Incarnation, s.Pack.Counter}] = true
			}
		}
	}
	return packs
}

// keys are the keys of objects, and ids those of uploads, in order.
func (m *collectorModel) keys() []string { return slices.Sorted(maps.Keys(m.objects)) }

func (m *collectorModel) ids() []string { return slices.Sorted(maps.Keys(m.uploads)) }
