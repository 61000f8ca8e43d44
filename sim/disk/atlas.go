package disk

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// FileSize is a file and its size.
type FileSize struct {
	Path string
	Size int64
}

type found struct {
	path string
	node *node
}

// walk visits the files of a volume in the order of their paths, directory by
// directory.
func (v *Volume) walk(visit func(found)) { walk(v.path, v.tree.root, visit) }

func walk(at string, n *node, visit func(found)) {
	if !n.isDir() {
		visit(found{at, n})
		return
	}
	for _, name := range n.sorted() {
		walk(path.Join(at, name), n.entries[name].live, visit)
	}
}

// Files returns the files below a path, sorted, those of volumes mounted there among
// them. Nobody is told, and no fault strikes.
func (d *Disk) Files(below string) (list []FileSize) {
	below = clean(below)
	d.mu.Lock()
	defer d.mu.Unlock()
	top := d.volumeOf(below)
	add := func(f found) { list = append(list, FileSize{f.path, f.node.content.size}) }
	if n, err := top.tree.find(top.rel(below)); err == nil {
		walk(below, n, func(f found) {
			if d.volumeOf(f.path) == top { // no volume is mounted over it
				add(f)
			}
		})
	}
	for _, v := range d.volumes {
		if v != top && !v.unmounted && (below == "/" || strings.HasPrefix(v.path, below+"/")) {
			v.walk(add)
		}
	}
	slices.SortFunc(list, func(a, b FileSize) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Files returns the files of the volume by their paths in it, sorted, whether or not it
// is mounted. Nobody is told, and no fault strikes.
func (v *Volume) Files() (list []FileSize) {
	v.with(func() {
		walk("/", v.tree.root, func(f found) { list = append(list, FileSize{f.path, f.node.content.size}) })
	})
	return list
}

// ReadFile returns what a file holds now. Nobody is told, and no fault strikes.
func (d *Disk) ReadFile(name string) ([]byte, error) {
	name = clean(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.volumeOf(name)
	n, err := v.tree.find(v.rel(name))
	if err == nil && n.isDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	p := make([]byte, n.content.size)
	n.content.readAt(p, 0)
	return p, nil
}

// Same tells whether two names are of the same file.
func (d *Disk) Same(a, b string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	find := func(name string) *node {
		name = clean(name)
		v := d.volumeOf(name)
		n, _ := v.tree.find(v.rel(name)) // nil: there is none
		return n
	}
	x, y := find(a), find(b)
	return x != nil && x == y
}
