package segment

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func slotFormat() SlotFormat {
	return SlotFormat{Magic: Magic{'t', 'e', 's', 't'}, Version: 1, Bytes: 2 * blockBytes}
}

func TestSlots(t *testing.T) {
	fs := vfs.NewCrashableMem()
	if _, _, err := OpenSlots(fs, "doc", slotFormat()); !errors.Is(err, iofs.ErrNotExist) {
		t.Fatalf("nothing there: %v", err)
	}
	s, err := CreateSlots(fs, "doc", slotFormat(), []byte("0"))
	must(t, err)
	for i := 1; i < 6; i++ {
		must(t, s.Write(fmt.Appendf(nil, "%d", i)))
		must(t, s.Close())
		var got []byte
		s, got, err = OpenSlots(fs, "doc", slotFormat())
		must(t, err)
		if string(got) != fmt.Sprint(i) || s.Damaged() {
			t.Fatalf("%q, damaged %v", got, s.Damaged())
		}
	}
	if err := s.Write(make([]byte, 2*blockBytes-slotHeader+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	must(t, s.Write(make([]byte, 2*blockBytes-slotHeader)))
	must(t, s.Write(nil))
	must(t, s.Close())
	_, got, err := OpenSlots(fs, "doc", slotFormat())
	if err != nil || len(got) != 0 {
		t.Fatal(got, err)
	}
}

// A crash at each operation leaves the old document or the new one; and then one
// damaged byte in either slot changes nothing, since both hold it.
func TestSlotsCrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := &disk{FS: mem}
	acknowledged, next := "", "0"
	rng := rand.New(rand.NewPCG(1, 1))
	check := func(op string) error {
		for _, percent := range []int{0, 100, 50, 50} {
			c := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			s, got, err := OpenSlots(c, "doc", slotFormat())
			if acknowledged == "" && errors.Is(err, iofs.ErrNotExist) {
				continue
			}
			if err != nil || string(got) != acknowledged && string(got) != next {
				t.Errorf("%s: %q, %v; want %q or %q", op, got, err, acknowledged, next)
				continue
			}
			must(t, s.Write(got))
			for i := range 2 {
				f, err := c.OpenReadWrite("doc", writeCategory)
				must(t, err)
				var b [1]byte
				at := int64(i*2*blockBytes + rng.IntN(slotHeader+len(got)))
				_, err = f.ReadAt(b[:], at)
				must(t, err)
				b[0] ^= 4
				_, err = f.WriteAt(b[:], at)
				must(t, err)
				s, again, err := OpenSlots(c, "doc", slotFormat())
				if err != nil || string(again) != string(got) || !s.Damaged() {
					t.Errorf("%s: damaged slot %d: %q, %v", op, i, again, err)
					continue
				}
				must(t, s.Write(again))
			}
		}
		return nil
	}
	d.before = check
	s, err := CreateSlots(d, "doc", slotFormat(), []byte(next))
	must(t, err)
	for i := range 5 {
		acknowledged, next = next, fmt.Sprint(i+1)
		must(t, s.Write([]byte(next)))
	}
	acknowledged = next
	must(t, check("the end"))
}

// A later version reads as newer, damage as damage, whatever its version says.
func TestSlotsVersions(t *testing.T) {
	f := slotFormat()
	later := f
	later.Version = 2
	write := func(f SlotFormat) *vfs.MemFS {
		fs := vfs.NewMem()
		_, err := CreateSlots(fs, "doc", f, []byte("document"))
		must(t, err)
		return fs
	}
	fs := write(later)
	if _, _, err := OpenSlots(fs, "doc", f); !errors.Is(err, ErrNewer) {
		t.Fatal(err)
	}
	fs = write(f) // one slot of an upgrade that was cut short
	s := Slots{format: later, generation: 9}
	image, err := s.encode([]byte("later"))
	must(t, err)
	file, err := fs.OpenReadWrite("doc", writeCategory)
	must(t, err)
	_, err = file.WriteAt(image, int64(f.Bytes))
	must(t, err)
	if _, _, err := OpenSlots(fs, "doc", f); !errors.Is(err, ErrNewer) {
		t.Fatal(err)
	}
	image[slotHeader] ^= 1
	_, err = file.WriteAt(image, int64(f.Bytes))
	must(t, err)
	if s, got, err := OpenSlots(fs, "doc", f); err != nil || string(got) != "document" || !s.Damaged() {
		t.Fatal(got, err)
	}
}
