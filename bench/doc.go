// Package bench is a load generator for S3 endpoints. It speaks plain HTTP with our
// own signer, so that its own cost is small, alternates two endpoints within one
// session, checks every byte it reads, and reports throughput, latency, what the
// server paid in CPU, memory and syncs, and the ratio of the two with its spread.
//
// It knows the S3 API as any client does, and /proc of the machine it runs on. It
// knows nothing of how a server works inside: what it cannot see from outside
// (geometry, whether acknowledged bytes were synced) is printed as the caller states it.
//
// Invariants:
//   - What an object holds follows from the seed and its key alone, so whatever is
//     read can be checked without being remembered. Wrong bytes are errors.
//   - A run ends by itself: at its time, its number of requests, or its number of
//     bytes written, whichever comes first; what is in flight then has a bounded grace.
//   - Only successful operations count for rates and latencies; failures are counted
//     and told apart, and make the command fail.
//   - Preparing, checking and removing objects happens outside the measured time.
//   - Secrets are never printed, and are sent nowhere but, as signatures, to the
//     endpoints, and as Basic credentials to the admin address that was given.
package bench
