package s3api

// OperationForTest is a row of the operations table, as the matrix and the list of what
// is supported see it.
type OperationForTest struct {
	Name, Method, Query, Header, Action string
	Bucket, Object                      bool // what the path names; neither: the service
	Nobody                              bool
}

// OperationsForTest are the rows in the table's order.
func OperationsForTest() (out []OperationForTest) {
	for _, op := range operations() {
		out = append(out, OperationForTest{op.name, op.method, op.query, op.header, op.action, op.on == onBucket, op.on == onObject, op.needs == needNobody})
	}
	return out
}

// UnservedForTest are the sub-resources of buckets and of objects that are not served.
func UnservedForTest() (buckets, objects []string) {
	return notImplemented(onBucket), notImplemented(onObject)
}
