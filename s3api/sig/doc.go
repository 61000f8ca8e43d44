// Package sig verifies who sent an S3 request and that its body is what was
// signed: Signature Version 4 and 2, in the Authorization header or in the query,
// with a signed, unsigned or aws-chunked body, or no signature at all. It also
// signs, for tests, benchmarks and the load generator.
//
// It knows requests, secrets and bytes. It knows no users, no policies, no HTTP
// status and no disk; where a secret comes from is the caller's Lookup, and what
// an anonymous caller may do is the authoriser's question.
//
// Invariants:
//   - What is verified is what was received: the path is decoded once and encoded
//     once by S3's rules, never cleaned, so `//`, `.`, `..` and `%2F` survive.
//   - Bad credentials are an error on every method; they never become anonymous.
//   - Every x-amz-* header of a Version 4 request is covered by its signature, and
//     so is Host.
//   - An unknown access key costs the same work as a wrong signature.
//   - The last byte of a body is handed out only after the payload hash, every
//     chunk signature, the framing and the trailer were verified. A caller that has
//     read DecodedLength bytes, or io.EOF, has a verified body; nobody else has.
//   - No secret, signing key or session token is in an error, in String() or in any
//     verb of fmt.
//
// Sources: "Authenticating Requests (AWS Signature Version 4)" and "Signing and
// authenticating REST requests" (Version 2) of the Amazon S3 API Reference and
// Developer Guide, and the signers of Amazon's SDKs where the two disagree.
package sig
