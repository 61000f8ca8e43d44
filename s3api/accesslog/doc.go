// Package accesslog writes the lines of server access logs as Amazon does, and names the
// objects that hold them.
//
// It knows the format: fields, their order, how each is spelled. It knows no requests, no
// store and no access control: what a line says its caller tells, and who may have it is
// decided elsewhere.
//
// Invariants:
//   - An entry is one line, whatever a client sent: nothing of a request can end a field,
//     a quotation or the line.
//   - No signature, session token or customer key is in a line. The id of the key that
//     signed, and what its signature was good for, are.
//
// Sources: "Amazon S3 server access log format" and "Logging requests with server access
// logging" of the Amazon S3 User Guide, and the data type TargetObjectKeyFormat of the API
// Reference.
package accesslog
