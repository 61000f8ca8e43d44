package fsm

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"ironman/wal/event"
)

func TestEmpty(t *testing.T) {
	m := memory(t, Options{})
	if a := m.Applied(); a != (Applied{}) {
		t.Errorf("an empty machine stands at %+v", a)
	}
	f, err := m.Frontier()
	if err != nil || f.Size() != 0 {
		t.Errorf("frontier %v, %v", f, err)
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := v.Cluster(); c != nil || err != nil || v.Applied() != (Applied{}) {
		t.Errorf("cluster %v, %v", c, err)
	}
	if u, err := v.Usage(1); err != nil || u.GetObjects() != 0 || u == nil {
		t.Errorf("usage %v, %v", u, err)
	}
	if l, err := v.ListObjects(ListQuery{Bucket: 1, Max: 10}); err != nil || len(l.Items) != 0 || l.Truncated {
		t.Errorf("listing %v, %v", l, err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if v, err := m.ViewAt(0); err != nil {
		t.Error(err)
	} else if err := v.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.ViewAt(1); !errors.Is(err, ErrTrimmed) {
		t.Errorf("a view of the future: %v", err)
	}
	if got := m.Apply(nil); len(got) != 0 {
		t.Error("results of nothing")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// Entries without events move the index, and nothing else; what was applied is skipped.
func TestIndexes(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(0)
	before := r.Applied()
	e := r.entry(r.put(bucket, "k", 5))
	got := r.Apply([]Entry{{Index: before.Index, Term: 9, Data: []byte{2}}, {Index: e.Index, Term: 3}, e, {Index: e.Index + 5, Term: 4}})
	for i := range got {
		if got[i].Outcome != nil {
			t.Errorf("entry %d has the outcome %v", i, got[i].Outcome)
		}
	}
	now := r.Applied()
	if now.Index != e.Index+5 || now.Term != 4 || now.Next != before.Next || now.Time != before.Time || now.Digest != before.Digest {
		t.Errorf("%+v after %+v", now, before)
	}
	if err := r.WaitApplied(t.Context(), now.Index); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() { waiting <- r.WaitApplied(ctx, now.Index+1) }()
	r.Apply([]Entry{{Index: now.Index + 1, Term: 4}})
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	cancel()
	if err := r.WaitApplied(ctx, now.Index+2); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// reopened changes the rows of a small state behind its machine's back and tells
// what Open makes of it.
func reopened(t *testing.T, o Options, change func(*pebble.DB)) error {
	t.Helper()
	r := newRig(t, Options{Window: 8})
	r.genesis(0)
	change(r.db)
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	r.close()
	o.FS, o.Dir, o.Fatal = r.options.FS, "state", func(err error) { panic(err) }
	m, err := Open(o)
	if err == nil {
		err = m.Close()
	}
	return err
}

func TestOpenRefuses(t *testing.T) {
	set := func(k, v []byte) func(*pebble.DB) {
		return func(db *pebble.DB) {
			if err := db.Set(k, v, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
	}
	newer := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	for name, c := range map[string]struct {
		window uint64
		change func(*pebble.DB)
		want   error
	}{
		"unchanged":        {8, func(*pebble.DB) {}, nil},
		"a longer window":  {9, func(*pebble.DB) {}, errAny},
		"a shorter window": {7, func(*pebble.DB) {}, errAny},
		"a request less": {8, func(db *pebble.DB) {
			if err := db.Delete(key(tableRequest, 10), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}, errAny},
		"a torn moment":    {8, set(key(tableMeta), []byte{0x0a}), event.ErrMalformed},
		"a newer moment":   {8, set(key(tableMeta), newer), event.ErrNewer},
		"no digest":        {8, set(key(tableMeta), event.Canonical(&Meta{NextSeq: 1})), event.ErrMalformed},
		"another frontier": {8, set(key(tableMeta), event.Canonical(&Meta{NextSeq: 1, Digest: make([]byte, 32), Frontier: []byte{1, 0, 0, 0, 0, 0, 0, 0, 0}})), errAny},
		"a newer request":  {8, set(key(tableRequest, 10), newer), event.ErrNewer},
	} {
		err := reopened(t, Options{Window: c.window}, c.change)
		if (err == nil) != (c.want == nil) || c.want != errAny && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(Options{FS: vfs.NewMem(), Dir: "x"}); err == nil {
		t.Error("opened without a way to stop")
	}
}

var errAny = errors.New("any error")

// TestFatal meets what must stop a node: what is newer than it, in an entry, a
// proposal, an item or a row.
func TestFatal(t *testing.T) {
	newer := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	for name, c := range map[string]struct {
		data func(r *rig, bucket uint64) []byte
		want error
	}{
		"entry": {func(*rig, uint64) []byte { return append([]byte{2}, make([]byte, 20)...) }, event.ErrNewer},
		"proposal": {func(r *rig, bucket uint64) []byte {
			return append(r.entry(r.put(bucket, "k", 1)).Data, newer...)
		}, event.ErrNewer},
		"item of headers": {func(r *rig, bucket uint64) []byte {
			return r.entry(r.put(bucket, "k", 1).Add(event.ItemKind_ITEM_KIND_HEADERS, 0, newer)).Data
		}, event.ErrNewer},
		"genesis of a later level": {func(r *rig, _ uint64) []byte {
			if err := r.db.Delete(key(tableCluster), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			clear(r.hot.rows)
			return r.entry(event.NewDraft(r.header(), &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{
				ClusterId: make([]byte, 16), FeatureLevel: event.FeatureLevel + 1,
			}})).Data
		}, event.ErrNewer},
		"level that this node announced, but does not know": {func(r *rig, _ uint64) []byte {
			for n := uint32(1); n <= 3; n++ {
				r.accept(event.NewDraft(r.header(), &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{
					Node: n, PublicKey: []byte{byte(n)}, Boot: 2, FeatureLevel: event.FeatureLevel + 1,
				}}))
			}
			return r.entry(event.NewDraft(r.header(), &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: event.FeatureLevel + 1}})).Data
		}, event.ErrNewer},
		"row": {func(r *rig, bucket uint64) []byte {
			if err := r.db.Set(objectKey(bucket, "k"), append(make([]byte, 8), newer...), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			return r.entry(r.put(bucket, "k", 1)).Data
		}, event.ErrNewer},
	} {
		r := newRig(t, Options{})
		bucket := r.genesis(0)
		data := c.data(r, bucket)
		before := r.Applied()
		err := fatal(func() { r.Apply([]Entry{{Index: before.Index + 1, Term: 1, Data: data}}) })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if r.Applied() != before {
			t.Errorf("%s: the machine went on to %+v", name, r.Applied())
		}
	}
}

// fatal runs f and returns what it stopped the node with.
func fatal(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err, _ = p.(error)
		}
	}()
	f()
	return nil
}

func TestReadApplied(t *testing.T) {
	r := newRig(t, Options{})
	if a, err := ReadApplied(r.options.FS, "nowhere"); err == nil {
		t.Errorf("read %+v where nothing is", a)
	}
	r.genesis(0)
	want, err := r.Checkpoint("copy")
	if err != nil || want != r.Applied() {
		t.Errorf("checkpoint at %+v, %v", want, err)
	}
	if got, err := ReadApplied(r.options.FS, "copy"); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	r.close()
	if got, err := ReadApplied(r.options.FS, "state"); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// TestPure looks for what apply must not touch: clocks, randomness, goroutines,
// floats, and iteration over maps, whose order is another each time.
func TestPure(t *testing.T) {
	// Walks over maps whose order reaches nothing.
	harmless := map[string]bool{"reader.go": true, "history_rows.go": true}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range files {
		name := f.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".pb.go") {
			continue
		}
		seen++
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			if path := strings.Trim(imp.Path.Value, `"`); slices.Contains([]string{"os", "net", "crypto/rand", "math/rand", "math/rand/v2", "maps", "reflect", "unsafe"}, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		maps := mapNames(file)
		ast.Inspect(file, func(n ast.Node) bool {
			if n == nil {
				return false
			}
			at := fset.Position(n.Pos())
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if id, ok := n.X.(*ast.Ident); ok && id.Name == "time" && !slices.Contains([]string{"Second", "Duration"}, n.Sel.Name) {
					t.Errorf("%s: time.%s", at, n.Sel.Name)
				}
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine", at)
			case *ast.Ident:
				if n.Name == "float64" || n.Name == "float32" {
					t.Errorf("%s: a float", at)
				}
			case *ast.RangeStmt:
				if sel, ok := n.X.(*ast.SelectorExpr); ok && maps[sel.Sel.Name] && !harmless[name] {
					t.Errorf("%s: walks the map %s", at, sel.Sel.Name)
				}
			}
			return true
		})
	}
	if seen < 20 {
		t.Errorf("only %d files", seen)
	}
}

// mapNames gives the names of a file's struct fields that are maps.
func mapNames(file *ast.File) map[string]bool {
	names := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if f, ok := n.(*ast.Field); ok {
			if _, is := f.Type.(*ast.MapType); is {
				for _, id := range f.Names {
					names[id.Name] = true
				}
			}
		}
		return true
	})
	return names
}

// TestSchemaAscends keeps the rows to what has one form only, as the event schema's
// test of this name does.
func TestSchemaAscends(t *testing.T) {
	messages := File_fsm_row_proto.Messages()
	for i := range messages.Len() {
		d, last := messages.Get(i), protoreflect.FieldNumber(0)
		for j := range d.Fields().Len() {
			fd := d.Fields().Get(j)
			if fd.Number() <= last || fd.Number() > 1000 {
				t.Errorf("%s is not above field %d", fd.FullName(), last)
			}
			last = fd.Number()
			if fd.IsMap() || fd.IsPacked() || fd.HasDefault() {
				t.Errorf("%s has more than one form", fd.FullName())
			}
			switch fd.Kind() {
			case protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.Uint32Kind, protoreflect.Uint64Kind,
				protoreflect.Int64Kind, protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
			default:
				t.Errorf("%s is a %s", fd.FullName(), fd.Kind())
			}
		}
	}
	if File_fsm_row_proto.Enums().Len() > 0 {
		t.Error("an enum in the rows: say here that its values ascend")
	}
}
