package server

import (
	"errors"
	"slices"

	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// errLow says why nothing new is stored.
var errLow = errors.New("server: the node's directory has less free space than its reserve")

// room refuses what would grow log, state and ledger while their file system is
// below its reserve. What the store itself proposes is never refused: it makes room.
func (n *Node) room() error {
	if n.space.Low() {
		return s3err.New("InsufficientStorage").Because(errLow)
	}
	return nil
}

// grows tells whether an event adds to the state. Those that take away from it are
// what the reserve is for; each needs a little space itself, in log and ledger.
func grows(s *event.Statement) bool {
	switch b := s.Body.(type) {
	case *event.Statement_TransactionCommitted:
		return slices.ContainsFunc(b.TransactionCommitted.Operations, func(op *event.TransactionOperation) bool { return op.Deleted == nil })
	case *event.Statement_ObjectsDeleted, *event.Statement_UploadAborted, *event.Statement_BucketDeleted,
		*event.Statement_AccessKeyDeleted, *event.Statement_AccessKeyStatusSet, *event.Statement_PrincipalDeleted,
		*event.Statement_PolicyDeleted, *event.Statement_PolicyVersionDeleted, *event.Statement_HistoryRetentionSet:
		return false
	}
	return true
}
