package form

import (
	"io"

	"ironman/s3api/s3err"
)

// File is the stream of a form's file. For one reader at a time. Errors stay.
type File struct {
	r           *reader
	part        io.Reader
	size        int64 // bytes handed on
	least, most int64
	err         error
}

// Bound sets how few and how many bytes the file may have.
func (f *File) Bound(least, most int64) { f.least, f.most = least, most }

// Read implements io.Reader. It gives io.EOF only at the end of a form that is whole.
func (f *File) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.part.Read(p)
	f.size += int64(n)
	switch {
	case f.size > f.most:
		f.err = s3err.EntityTooLarge(f.size, f.most)
	case err == io.EOF:
		f.err = f.end()
	case err != nil:
		f.err = f.r.broken(err)
	}
	if f.err != nil && f.err != io.EOF {
		return 0, f.err
	}
	return n, f.err
}

// end judges the size and passes over what follows: a browser sends the button that was
// pressed, if it has a name.
func (f *File) end() error {
	if f.size < f.least {
		return s3err.New("EntityTooSmall").WithInt("ProposedSize", f.size).WithInt("MinSizeAllowed", f.least)
	}
	f.r.meter.left, f.r.meter.beyond = MaxFields+readAhead, malformed("Too much follows the file.")
	f.r.taken = 0
	for {
		p, err := f.r.next()
		switch {
		case err != nil:
			return err
		case p.name == fileField:
			return s3err.New("IncorrectNumberOfFilesInPostRequest")
		case f.r.known(p.name):
			return malformed("The field '" + p.name + "' follows the file, which must be the last.")
		}
		if _, err := f.r.value(p); err != nil {
			return err
		}
	}
}
