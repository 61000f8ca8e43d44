package history

// Never is the return of a request that had no answer: nothing ends after it.
const Never = int64(1) << 62

// Kinds of requests.
const (
	Put     = "put"     // whatever is there
	Create  = "create"  // If-None-Match: *
	Replace = "replace" // If-Match: the entity tag of Match
	Delete  = "delete"
	Get     = "get" // GET, HEAD, or a line of a listing
)

// Op is one request to one key, or one key's part in a request to several. Values
// stand for bodies: each body is written by one request only. The empty value is that
// of a key which does not exist.
type Op struct {
	Client int    `json:"client"`
	Node   int    `json:"node"` // that was asked
	Kind   string `json:"kind"`
	How    string `json:"how,omitempty"` // the operation, where Kind alone does not say
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"` // written
	Match  string `json:"match,omitempty"` // that a Replace expects
	Call   int64  `json:"call"`            // nanoseconds
	Return int64  `json:"return"`          // Never: its outcome is open
	Status int    `json:"status"`          // of HTTP; 0: none
	Read   string `json:"read,omitempty"`  // by a Get
}

// Open tells whether it is not known what came of the request.
func (o *Op) Open() bool { return o.Return == Never }
