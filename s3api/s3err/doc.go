// Package s3err is what goes wrong, as S3 says it: one error type, one table of
// codes with their HTTP status and message, one way from any other error to it, and
// the XML document that tells the client. It knows no HTTP library, no store and no
// request; it never decides that something is an error.
//
// Invariants:
//   - Every *Error has a code of the table and that code's status, whoever made it.
//     A code the table does not know is a bug here: the client gets InternalError.
//   - A document holds the table's message or one written for clients, and fields
//     that were added for clients. The text of any other error stays in the chain
//     (Unwrap), for the log: no path, address or stack reaches a client.
//   - Every Refusal of the event vocabulary has an answer.
//   - An *Error is not changed once made: With returns a copy.
//
// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
package s3err
