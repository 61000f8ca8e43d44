// Package lifecycle is what the rules of a bucket's lifecycle configuration mean. It
// knows which configurations are valid, and which rule applies to an object at a
// moment. It knows no state, no clock and no events: who runs the rules asks it about
// each object with what it has seen, and proposes what it answers.
//
// Ages are counted as Amazon counts them: a day is over at the midnight (UTC) that
// follows the moment at which it has passed.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
package lifecycle
