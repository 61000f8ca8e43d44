package history

import (
	"testing"
	"time"
)

// TestJudge: the judge allows what may have happened, and nothing else.
func TestJudge(t *testing.T) {
	op := func(kind, value, match string, status int, read string, call, end int64) Op {
		if end == 0 {
			end = Never
		}
		return Op{Kind: kind, Key: "k", Value: value, Match: match, Status: status, Read: read, Call: call, Return: end}
	}
	for name, tc := range map[string]struct {
		h  []Op
		ok bool
	}{
		"nothing":                           {nil, true},
		"a read of what is there":           {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Get, "", "", 200, "a", 2, 3)}, true},
		"a stale read":                      {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Put, "b", "", 200, "", 2, 3), op(Get, "", "", 200, "a", 4, 5)}, false},
		"a read during a write, either":     {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Put, "b", "", 200, "", 2, 9), op(Get, "", "", 200, "b", 3, 4), op(Get, "", "", 200, "b", 5, 6)}, true},
		"reads that go back":                {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Put, "b", "", 200, "", 2, 9), op(Get, "", "", 200, "b", 3, 4), op(Get, "", "", 200, "a", 5, 6)}, false},
		"lost":                              {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Get, "", "", 404, "", 2, 3)}, false},
		"deleted":                           {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Delete, "", "", 204, "", 2, 3), op(Get, "", "", 404, "", 4, 5)}, true},
		"a delete that did not":             {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Delete, "", "", 204, "", 2, 3), op(Get, "", "", 200, "a", 4, 5)}, false},
		"unknown, done late":                {[]Op{op(Put, "a", "", 0, "", 0, 0), op(Put, "b", "", 200, "", 2, 3), op(Get, "", "", 200, "a", 4, 5)}, true},
		"unknown, never done":               {[]Op{op(Put, "a", "", 0, "", 0, 0), op(Put, "b", "", 200, "", 2, 3), op(Get, "", "", 200, "b", 4, 5)}, true},
		"unknown, done twice":               {[]Op{op(Put, "a", "", 0, "", 0, 0), op(Get, "", "", 200, "a", 1, 2), op(Put, "b", "", 200, "", 3, 4), op(Get, "", "", 200, "a", 5, 6)}, false},
		"unknown delete, twice":             {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Delete, "", "", 0, "", 2, 0), op(Get, "", "", 404, "", 3, 4), op(Put, "b", "", 200, "", 5, 6), op(Get, "", "", 404, "", 7, 8)}, false},
		"two winners":                       {[]Op{op(Create, "a", "", 200, "", 0, 5), op(Create, "b", "", 200, "", 1, 6)}, false},
		"one winner":                        {[]Op{op(Create, "a", "", 200, "", 0, 5), op(Create, "b", "", 412, "", 1, 6)}, true},
		"refused without a reason":          {[]Op{op(Create, "b", "", 412, "", 1, 6)}, false},
		"an unknown winner":                 {[]Op{op(Create, "a", "", 0, "", 0, 0), op(Create, "b", "", 412, "", 1, 6)}, true},
		"an unknown replacement":            {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Replace, "b", "a", 0, "", 2, 0), op(Get, "", "", 200, "b", 3, 4)}, true},
		"an unknown replacement of another": {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Replace, "b", "x", 0, "", 2, 0), op(Get, "", "", 200, "b", 3, 4)}, false},
		"a lost replacement":                {[]Op{op(Put, "a", "", 200, "", 0, 1), op(Replace, "b", "a", 200, "", 2, 6), op(Replace, "c", "a", 200, "", 3, 7)}, false},
		"a put is never refused":            {[]Op{op(Put, "a", "", 412, "", 0, 1)}, false},
		"a value nobody wrote":              {[]Op{op(Get, "", "", 200, "z", 0, 1)}, false},
	} {
		v := Judge(tc.h, 10*time.Second)
		if (len(v) == 0) != tc.ok {
			t.Errorf("%s: %v", name, v)
		}
		if len(v) > 0 {
			t.Logf("%s: %s", name, v[0].Text)
		}
	}
}
