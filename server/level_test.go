package server

import (
	"testing"

	"ironman/wal/event"
)

// TestTooEarly: while the cluster's level is lower, because a node of an older release is
// still in it, no event is proposed that such a node could not read.
func TestTooEarly(t *testing.T) {
	for _, c := range []struct {
		level   uint32
		body    *event.Statement
		refused bool
	}{
		{1, &event.Statement{Body: &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{}}}, false},
		{1, &event.Statement{Body: &event.Statement_NodeAdded{NodeAdded: &event.NodeAdded{}}}, true},
		{2, &event.Statement{Body: &event.Statement_NodeAdded{NodeAdded: &event.NodeAdded{}}}, false},
		{2, &event.Statement{Body: &event.Statement_ObjectTagsSet{ObjectTagsSet: &event.ObjectTagsSet{}}}, true},
		{3, &event.Statement{Body: &event.Statement_ObjectTagsSet{ObjectTagsSet: &event.ObjectTagsSet{}}}, false},
		{2, &event.Statement{Body: &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{Confirmed: true}}}, true},
		{3, &event.Statement{Body: &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{Confirmed: true}}}, false},
		{2, &event.Statement{Body: &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{}}}, false},
		{3, &event.Statement{Body: &event.Statement_PolicyTagsSet{PolicyTagsSet: &event.PolicyTagsSet{}}}, true},
		{4, &event.Statement{Body: &event.Statement_PolicyTagsSet{PolicyTagsSet: &event.PolicyTagsSet{}}}, false},
		{3, &event.Statement{Body: &event.Statement_TransactionCommitted{TransactionCommitted: &event.TransactionCommitted{}}}, true},
		{4, &event.Statement{Body: &event.Statement_TransactionCommitted{TransactionCommitted: &event.TransactionCommitted{}}}, false},
		{3, &event.Statement{Body: &event.Statement_EpochBegun{EpochBegun: &event.EpochBegun{}}}, true},
		{4, &event.Statement{Body: &event.Statement_EpochBegun{EpochBegun: &event.EpochBegun{}}}, false},
		{3, &event.Statement{Body: &event.Statement_BlobsPlaced{BlobsPlaced: &event.BlobsPlaced{}}}, true},
		{4, &event.Statement{Body: &event.Statement_BlobsPlaced{BlobsPlaced: &event.BlobsPlaced{}}}, false},
		{3, &event.Statement{Body: &event.Statement_ReadsNoted{ReadsNoted: &event.ReadsNoted{}}}, true},
		{4, &event.Statement{Body: &event.Statement_ReadsNoted{ReadsNoted: &event.ReadsNoted{}}}, false},
		{3, &event.Statement{Body: &event.Statement_HistoryRetentionSet{HistoryRetentionSet: &event.HistoryRetentionSet{}}}, true},
		{1, &event.Statement{Body: &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{}}}, false},
		{3, &event.Statement{Body: &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{Early: true}}}, true},
	} {
		c.body.Header = &event.Header{FeatureLevel: c.level}
		o := tooEarly(c.body)
		if refused := o.GetRefusal() == event.Refusal_REFUSAL_FEATURE_LEVEL; refused != c.refused {
			t.Errorf("%s at level %d: %v", event.KindName(c.body.Kind()), c.level, o)
		}
	}
}

// TestTransactionGrows: a transaction that only deletes makes room, as deletes do.
func TestTransactionGrows(t *testing.T) {
	remove, put := &event.TransactionOperation{Deleted: &event.DeleteTarget{}}, &event.TransactionOperation{Completed: &event.UploadCompleted{}}
	for _, c := range []struct {
		operations []*event.TransactionOperation
		grows      bool
	}{
		{[]*event.TransactionOperation{remove, remove}, false},
		{[]*event.TransactionOperation{remove, put}, true},
		{[]*event.TransactionOperation{{Copied: &event.ObjectPut{}}}, true},
	} {
		s := &event.Statement{Body: &event.Statement_TransactionCommitted{TransactionCommitted: &event.TransactionCommitted{Operations: c.operations}}}
		if grows(s) != c.grows {
			t.Errorf("%v grows: %v", c.operations, !c.grows)
		}
	}
}
