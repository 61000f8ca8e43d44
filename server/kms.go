package server

import "net/http"

// KMS is what a node says of its keys for encrypted objects. There is no secret in it.
type KMS struct {
	// Keys are the ids that new objects may name, in this node's configuration.
	Keys []string `json:"keys"`
	// Masters name the master secrets of this node's keyring; the last one wraps. All
	// nodes of a cluster must say the same.
	Masters []string `json:"masters"`
}

// KMS tells which keys this node accepts, and which secrets it derives them from.
func (n *Node) KMS() KMS {
	return KMS{Keys: append([]string{"alias/aws/s3"}, n.opts.KMSKeys...), Masters: n.keyring.masters.IDs()}
}

func (n *Node) kms(w http.ResponseWriter, _ *http.Request) { writeJSON(w, n.KMS()) }
