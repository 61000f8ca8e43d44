// Package form reads the upload forms that browsers send: multipart/form-data, small
// fields first, the file last. The fields are read whole, within hard limits; the file
// is a stream, never held in memory or on disk.
//
// It knows bytes, names and limits. It knows no policy, no signature, no bucket and no
// HTTP request; what a field means is for others to say.
//
// Invariants:
//   - Nothing is kept of a form beyond MaxFields bytes and one small buffer.
//   - A name stands for one value: a form that repeats one is refused, for another
//     reader might take the other.
//   - The file's end is reported only after the form's own: whoever has read io.EOF has
//     seen a form that ends as it must, and a file within its bounds.
//   - Names are matched in any case of letters. Values are UTF-8, exactly as sent.
//
// Sources: RFC 7578, RFC 2046, and "Creating an HTML Form" of the Amazon S3 API
// Reference.
package form
