package policy

import (
	"sort"
	"strings"
)

// resource is a set of kinds of resources.
type resource uint8

const (
	buckets resource = 1 << iota
	objects
	users
	groups
	roles
	managed // policies
	providers
)

// action is one of Amazon's, and what it is done to. No resource: to the service,
// which only the resource "*" of an identity's policy means.
type action struct {
	name string
	on   resource
}

// KnownAction reports whether the table has the action, as Amazon writes it.
func KnownAction(name string) bool {
	_, ok := findAction(name)
	return ok
}

// OnObject reports whether an action is done to an object, and its resource is the
// object's ARN and not the bucket's.
func OnObject(name string) bool {
	a, _ := findAction(name)
	return a.on&objects != 0
}

func findAction(name string) (action, bool) {
	i := sort.Search(len(actions), func(i int) bool { return actions[i].name >= name })
	if i == len(actions) || actions[i].name != name {
		return action{}, false
	}
	return actions[i], true
}

// matchesAction reports whether a pattern in lower case names anything.
func matchesAction(p pattern) bool {
	for i := range actions {
		if p.match(strings.ToLower(actions[i].name)) {
			return true
		}
	}
	return false
}

// appliesTo reports whether an action of S3 that the pattern names can be done to one
// of the kinds of resources.
func appliesTo(p pattern, on resource) bool {
	for i := range actions {
		if actions[i].on&on != 0 && p.match(strings.ToLower(actions[i].name)) {
			return true
		}
	}
	return false
}
