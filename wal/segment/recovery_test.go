package segment

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// damageCase is damage to the log that build makes, and what Open makes of it.
type damageCase struct {
	name     string
	damage   func(im image) image
	required uint64
	last     uint64 // the last index that is recovered
	err      error
	recovery Recovery
}

func (p place) flip(im image, i int) image {
	im[p.name][p.offset+int64(i)] ^= 0x40
	return im
}

func (p place) zero(im image) image {
	clear(im[p.name][p.offset : p.offset+int64(p.length)])
	return im
}

// frameCases damage frames while the mark proves the last batch.
func frameCases(at []place) []damageCase {
	last, inner, sealed := at[len(at)-1], at[len(at)-2], at[1]
	return []damageCase{
		{name: "none", damage: func(im image) image { return im }, last: 12},
		{name: "none, all required", damage: func(im image) image { return im }, required: 12, last: 12},
		{name: "more was applied than is there", damage: func(im image) image { return im }, required: 13, err: ErrCorrupt},
		{name: "mark lost", damage: unmark, last: 12, recovery: Recovery{Rewritten: 3}},
		{name: "mark damaged", last: 12, recovery: Recovery{TornSegment: 2, Rewritten: 3}, damage: func(im image) image {
			im[last.name][blockUp(last.offset+int64(last.length))+9] ^= 1
			return im
		}},

		{name: "last frame damaged", damage: func(im image) image { return last.flip(im, 70) }, err: ErrCorrupt},
		{name: "last frame zeroed", damage: func(im image) image { return last.zero(im) }, err: ErrCorrupt},
		{name: "first frame of the last batch zeroed", damage: func(im image) image { return at[len(at)-3].zero(im) }, err: ErrCorrupt},
		{name: "last batch zeroed", err: ErrCorrupt, damage: func(im image) image {
			return at[len(at)-3].zero(inner.zero(last.zero(im)))
		}},
		{name: "batch before the last zeroed", damage: func(im image) image { return at[len(at)-4].zero(im) }, err: ErrCorrupt},
		{name: "sealed frame damaged", damage: func(im image) image { return sealed.flip(im, 3) }, err: ErrCorrupt},
		{name: "sealed frame zeroed", damage: func(im image) image { return sealed.zero(im) }, err: ErrCorrupt},
	}
}

// tornCases damage the last batch without a mark, as after a power cut: rot and a
// torn write look alike then, and only what is known to have been applied tells
// them apart.
func tornCases(at []place) []damageCase {
	last, inner := at[len(at)-1], at[len(at)-2]
	return []damageCase{
		{name: "no mark, last frame damaged", last: 11, recovery: Recovery{TornSegment: 2, Rewritten: 2},
			damage: func(im image) image { return last.flip(unmark(im), 70) }},
		{name: "no mark, last frame damaged, but applied", required: 12, err: ErrCorrupt,
			damage: func(im image) image { return last.flip(unmark(im), 70) }},
		{name: "no mark, inner frame damaged", last: 10, recovery: Recovery{TornSegment: 2, Rewritten: 1},
			damage: func(im image) image { return inner.flip(unmark(im), 70) }},
		{name: "no mark, inner frame zeroed", last: 10, recovery: Recovery{TornSegment: 2, Rewritten: 1},
			damage: func(im image) image { return inner.zero(unmark(im)) }},
		{name: "no mark, first frame zeroed", last: 9, recovery: Recovery{TornSegment: 2, Rewritten: 2},
			damage: func(im image) image { return at[len(at)-3].zero(unmark(im)) }},
		{name: "no mark, batch before the last damaged", err: ErrCorrupt,
			damage: func(im image) image { return at[len(at)-4].flip(unmark(im), 70) }},
	}
}

// strayCases put bytes where none belong.
func strayCases(at []place) []damageCase {
	last, inner, sealed := at[len(at)-1], at[len(at)-2], at[1]
	return []damageCase{
		{name: "garbage behind the mark", last: 12, recovery: Recovery{TornSegment: 2}, damage: func(im image) image {
			b := im[last.name]
			copy(b[len(b)-100:], "garbage")
			return im
		}},
		{name: "garbage in padding", last: 12, damage: func(im image) image {
			im[at[2].name][at[2].offset+align8(int64(at[2].length))] = 1 // behind the first batch, not the last
			return im
		}},
		{name: "frame of another segment at the end", last: 12, recovery: Recovery{TornSegment: 2}, damage: func(im image) image {
			b := im[last.name]
			copy(b[blockUp(last.offset+int64(last.length))+blockBytes:], im[sealed.name][at[0].offset:][:at[0].length])
			return im
		}},
		{name: "an older frame of the same segment at the end", err: ErrCorrupt, damage: func(im image) image {
			b := im[last.name]
			copy(b[blockUp(last.offset+int64(last.length))+blockBytes:], b[inner.offset:][:inner.length])
			return im
		}},
	}
}

// fileCases damage whole files, and what says which they are.
func fileCases(at []place) []damageCase {
	last, sealed := at[len(at)-1], at[1]
	newer := func(b []byte, magic Magic) { putPreamble(b, magic, 2) }
	return []damageCase{
		{name: "segment missing", damage: func(im image) image { delete(im, sealed.name); return im }, err: ErrCorrupt},
		{name: "open segment missing", damage: func(im image) image { delete(im, last.name); return im }, err: ErrCorrupt},
		{name: "segment cut short", damage: func(im image) image { im[last.name] = im[last.name][:8192]; return im }, err: ErrCorrupt},
		{name: "segment empty", damage: func(im image) image { im[sealed.name] = nil; return im }, err: ErrCorrupt},
		{name: "segments swapped", err: ErrCorrupt, damage: func(im image) image {
			im[sealed.name], im[last.name] = im[last.name], im[sealed.name]
			return im
		}},
		{name: "segment header damaged", damage: func(im image) image { im[last.name][17] ^= 1; return im }, err: ErrCorrupt},
		{name: "segment of a newer release", damage: func(im image) image {
			newer(im[last.name][:blockBytes], segmentMagic())
			return im
		}, err: ErrNewer},

		{name: "manifest missing", damage: func(im image) image { delete(im, manifestName); return im }, err: ErrCorrupt},
		{name: "first slot damaged", last: 12, recovery: Recovery{SlotHealed: true},
			damage: func(im image) image { im[manifestName][40] ^= 1; return im }},
		{name: "second slot damaged", last: 12, recovery: Recovery{SlotHealed: true},
			damage: func(im image) image { im[manifestName][manifestSlot+9] ^= 1; return im }},
		{name: "manifest cut to one slot", last: 12, recovery: Recovery{SlotHealed: true},
			damage: func(im image) image { im[manifestName] = im[manifestName][:manifestSlot]; return im }},
		{name: "both slots damaged", err: ErrCorrupt, damage: func(im image) image {
			im[manifestName][40] ^= 1
			im[manifestName][manifestSlot+40] ^= 1
			return im
		}},
		{name: "manifest of a newer release", err: ErrNewer, damage: func(im image) image {
			for _, slot := range []int{0, manifestSlot} {
				b := im[manifestName][slot:]
				newer(b[:slotHeader+binary.LittleEndian.Uint32(b[24:])], manifestFormat().Magic)
			}
			return im
		}},
		{name: "no log at all, but it is required", required: 1, err: ErrCorrupt, damage: func(image) image { return image{} }},
	}
}

func TestRecoveryTable(t *testing.T) {
	base, all := build(t)
	at := places(t, base)
	for _, c := range slices.Concat(frameCases(at), tornCases(at), strayCases(at), fileCases(at)) {
		t.Run(c.name, func(t *testing.T) {
			got, r, err := reopen(t, c.damage(base.clone()), c.required)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err != nil {
				t.Log(err)
				return
			}
			if want := all.suffix(c.last + 1); !got.equal(want) {
				t.Fatalf("recovered %v, want %v", got, want)
			}
			if r != c.recovery {
				t.Fatalf("%+v, want %+v", r, c.recovery)
			}
		})
	}
}
