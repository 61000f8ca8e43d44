package s3api

import (
	"net/http"
	"time"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// nullVersion is the id of the version that was put while versioning was not enabled.
const nullVersion = "null"

// versioned tells whether a bucket has, or had, versioning: then its answers name
// versions.
func versioned(b *fsm.Bucket) bool {
	return b.GetVersioning() != event.VersioningState_VERSIONING_STATE_NEVER
}

// versionID is how clients know a version.
func versionID(v *event.Version, null bool) string {
	if null {
		return nullVersion
	}
	return v.ID()
}

func objectVersionID(o *fsm.Object) string { return versionID(o.Version, o.NullVersion) }

// setNewVersion names the version that was made: a null version goes without a name.
func setNewVersion(h http.Header, v *event.Version, null bool) {
	if !null {
		h.Set("X-Amz-Version-Id", v.ID())
	}
}

// setVersion names the version that an answer is about, where its bucket has versions.
func setVersion(h http.Header, b *fsm.Bucket, v *event.Version, null bool) {
	if versioned(b) || !null {
		h.Set("X-Amz-Version-Id", versionID(v, null))
	}
}

// parsedVersion is a version id of a request.
type parsedVersion struct {
	version *event.Version // nil: the null version
}

// parse reads a version id.
func (p *parsedVersion) parse(id string) error {
	if id == nullVersion {
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

// find reads the version of a key, or its marker, at the request's view; nil if there
// is none. The null version goes by no other name.
func (p *parsedVersion) find(v *fsm.View, bucket uint64, key string) (*fsm.Object, error) {
	if p.version == nil {
		return v.NullVersion(bucket, key)
	}
	o, err := v.Version(bucket, key, p.version)
	if o.GetNullVersion() {
		return nil, err
	}
	return o, err
}

// wanted is which version of an object a request asks for.
type wanted struct {
	id    string
	given bool // else the current one
}

// wantedVersion is that of the query.
func (r *Request) wantedVersion() wanted {
	return wanted{r.Query.Get("versionId"), r.Query.Has("versionId")}
}

// find reads what is asked for; nil if there is no such thing. Where no version is
// given, what it reads may be the marker that is a key's newest version.
func (w wanted) find(v *fsm.View, b *fsm.Bucket, key string) (*fsm.Object, error) {
	if !w.given {
		o, err := v.Object(b.Bucket, key)
		if err == nil && o == nil && versioned(b) {
			return v.Newest(b.Bucket, key)
		}
		return o, err
	}
	if w.id == "" {
		return nil, s3err.InvalidArgument("versionId", w.id, "Version id cannot be the empty string")
	}
	var p parsedVersion
	if err := p.parse(w.id); err != nil {
		return nil, err
	}
	return p.find(v, b.Bucket, key)
}

// markerError answers a request for an object that finds a marker: as if there was
// none, but that it says so; one that names the marker may only delete it.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarkers.html
func (r *Request) markerError(w wanted, marker *fsm.Object) error {
	r.errorHeader = http.Header{
		"X-Amz-Delete-Marker": {"true"}, "X-Amz-Version-Id": {objectVersionID(marker)},
	}
	if !w.given {
		return s3err.New("NoSuchKey").About(s3err.Subject{Key: r.Key})
	}
	r.errorHeader["Allow"] = []string{"DELETE"}
	r.errorHeader["Last-Modified"] = []string{time.Unix(0, marker.Time).UTC().Format(http.TimeFormat)}
	return s3err.New("MethodNotAllowed").With("Method", r.HTTP.Method).With("ResourceType", "DeleteMarker")
}
