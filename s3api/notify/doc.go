// Package notify tells what events mean to those who are notified of changes to the
// objects of a bucket: which of Amazon's notifications an event of the log is, whom a
// bucket's configuration names for it, and the message that says so. It is a function of
// the log: whoever reads the same events sends the same messages.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
package notify
