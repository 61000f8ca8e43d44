package s3api

import (
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// parsedVersion is a version id of a request.
type parsedVersion struct {
	version *event.Version // nil: the null version
}

// parse reads a version id.
func (p *parsedVersion) parse(id string) error {
	if id == "null" {
		p.version = nil
		return nil
	}
	v, ok := event.ParseVersionID(id)
	if !ok {
		return s3err.InvalidArgument("versionId", id, "Invalid version id specified")
	}
	p.version = v
	return nil
}

// target puts the version into a delete.
func (p *parsedVersion) target(t *event.DeleteTarget) {
	t.Version, t.NullVersion = p.version, p.version == nil
}
