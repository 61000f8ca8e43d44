package s3err

// The errors whose fields clients and SDKs look for, each made in one way.

// InvalidArgument names an argument (header, query parameter or form field) and
// says what is wrong with it.
func InvalidArgument(name, value, message string) *Error {
	return Newf("InvalidArgument", "%s", message).With("ArgumentName", name).With("ArgumentValue", value)
}

// PreconditionFailed names the condition, as its header is called.
func PreconditionFailed(condition string) *Error {
	return New("PreconditionFailed").With("Condition", condition)
}

// InvalidRange says which range was asked of an object of size bytes.
func InvalidRange(requested string, size int64) *Error {
	return New("InvalidRange").With("RangeRequested", requested).WithInt("ActualObjectSize", size)
}

// EntityTooSmall says which part of an upload is below the least size, in bytes.
func EntityTooSmall(proposed, least int64, part int, etag string) *Error {
	return New("EntityTooSmall").WithInt("ProposedSize", proposed).WithInt("MinSizeAllowed", least).
		WithInt("PartNumber", int64(part)).With("ETag", etag)
}

// EntityTooLarge says how large a body may be, in bytes.
func EntityTooLarge(proposed, most int64) *Error {
	return New("EntityTooLarge").WithInt("ProposedSize", proposed).WithInt("MaxSizeAllowed", most)
}

// InvalidPart says which part of an upload is not what the client took it for.
func InvalidPart(uploadID string, part int, etag string) *Error {
	return New("InvalidPart").With("UploadId", uploadID).WithInt("PartNumber", int64(part)).With("ETag", etag)
}

// MethodNotAllowed says what was tried on what (BUCKET, OBJECT, DeleteMarker ...).
func MethodNotAllowed(method, resourceType string) *Error {
	return New("MethodNotAllowed").With("Method", method).With("ResourceType", resourceType)
}

// KeyTooLong says how long a key is, in bytes, and how long it may be.
func KeyTooLong(size, most int64) *Error {
	return New("KeyTooLongError").WithInt("Size", size).WithInt("MaxSizeAllowed", most)
}

// MetadataTooLarge says how large user metadata is, in bytes, and how large it may be.
func MetadataTooLarge(size, most int64) *Error {
	return New("MetadataTooLarge").WithInt("Size", size).WithInt("MaxSizeAllowed", most)
}
