// Package website decides what a bucket that is a static website answers: which object
// to send, where to redirect, which error page to show. It is Amazon's website endpoint
// as a function of a configuration, a request and what the bucket holds.
//
// It knows configurations, keys and HTML. It knows no HTTP server, no store and no
// access control; what exists, and whether everybody may read it, its caller tells.
//
// Invariants:
//   - Decide is a pure function of its arguments, and asks for a few keys at most.
//   - Nothing that a client sent is in a page unescaped, nor in a Location unencoded.
//   - An error that cannot be explained by a page of the site is explained by one of
//     ours, under the same status.
//
// Sources: "Hosting a static website using Amazon S3" of the Amazon S3 User Guide, and
// the data type WebsiteConfiguration of the API Reference.
package website
