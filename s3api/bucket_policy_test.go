package s3api

import (
	"net/http"
	"testing"

	"ironman/fsm"
	"ironman/s3api/access"
)

// TestBindsOwner: only the owner's account itself may have a policy bind it, and not while
// a node of an older release, which would stop at the event, may be in the cluster.
func TestBindsOwner(t *testing.T) {
	for _, tc := range []struct {
		name    string
		who     access.Principal
		header  string
		level   uint32
		confirm bool
	}{
		{"the owner", access.Principal{CanonicalID: "o"}, "true", documentLevel, true},
		{"the owner, who does not say so", access.Principal{CanonicalID: "o"}, "", documentLevel, false},
		{"a user of the owner", access.Principal{CanonicalID: "o", User: "u"}, "true", documentLevel, false},
		{"another account", access.Principal{CanonicalID: "x"}, "true", documentLevel, false},
		{"root", access.Principal{CanonicalID: "r", Root: true}, "true", documentLevel, false},
		{"nobody", access.Principal{}, "true", documentLevel, false},
		{"below the level", access.Principal{CanonicalID: "o"}, "true", documentLevel - 1, false},
	} {
		r := &Request{
			Header: http.Header{"X-Amz-Confirm-Remove-Self-Bucket-Access": {tc.header}}, principal: tc.who,
			bucket: &fsm.Bucket{Owner: "o"}, cluster: &fsm.Cluster{FeatureLevel: tc.level},
		}
		if got := r.bindsOwner(); got != tc.confirm {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
