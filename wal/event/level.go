package event

// LevelOf is the feature level from which events of a kind (the field number of a
// statement's body) are legal; 0 for those that always were.
func LevelOf(kind uint32) uint32 {
	switch {
	case kind == 27, kind == 28: // NodeAdded, NodeRemoved
		return 2
	case kind == 29, kind == 30, kind >= 37 && kind <= 47, kind >= 52 && kind <= 54, kind >= 67 && kind <= 71, kind >= 96 && kind <= 99:
		return 3
	case kind == 21, kind == 31, kind == 55, kind == 72, kind == 73, kind >= 100 && kind <= 102: // EpochBegun, PayloadsErased, HistoryRetentionSet, ObjectsRestored, TransactionCommitted, PolicyTagsSet, ReadsNoted, BlobsPlaced
		return 4
	}
	return 0
}

// Level is the feature level that a statement needs: that of its kind, or of a later
// field that it sets. A node of an older release cannot read it, and would have to stop.
//
// A field that is added to a message is listed in testdata/fields.txt with its level
// (TestFieldLevels), and asked for here.
func (s *Statement) Level() uint32 {
	level := LevelOf(s.Kind())
	switch b := s.Body.(type) {
	case *Statement_BucketDocumentSet:
		if b.BucketDocumentSet.GetConfirmed() {
			level = max(level, 3)
		}
	case *Statement_HistoryTrimmed:
		if b.HistoryTrimmed.GetBucket() != 0 || b.HistoryTrimmed.GetEarly() {
			level = max(level, 4)
		}
	case *Statement_PrincipalCreated:
		if b.PrincipalCreated.GetKind() == PrincipalKind_PRINCIPAL_KIND_PROVIDER {
			level = max(level, 4)
		}
	}
	return level
}
