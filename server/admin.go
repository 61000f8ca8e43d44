package server

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ironman/s3api/sig"
	"ironman/wal"
	"ironman/wal/digest"
)

// adminHandler serves the admin listener. All but liveness needs the root
// account's access key and secret key, as HTTP Basic credentials.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/health/live", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /-/health/ready", n.rootOnly(http.HandlerFunc(n.ready)))
	mux.Handle("GET /-/metrics", n.rootOnly(promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{})))
	mux.Handle("GET /-/locate", n.rootOnly(http.HandlerFunc(n.locate)))
	mux.Handle("GET /-/status", n.rootOnly(http.HandlerFunc(n.status)))
	mux.Handle("GET /-/kms", n.rootOnly(http.HandlerFunc(n.kms)))
	mux.Handle("GET /-/nodes", n.rootOnly(http.HandlerFunc(n.nodes)))
	mux.Handle("POST /-/nodes/remove", n.rootOnly(http.HandlerFunc(n.removeNode)))
	mux.Handle("GET /-/accounts", n.rootOnly(http.HandlerFunc(n.accounts)))
	mux.Handle("POST /-/accounts/create", n.rootOnly(http.HandlerFunc(n.createTenant)))
	mux.Handle("POST /-/accounts/delete", n.rootOnly(http.HandlerFunc(n.deleteTenant)))
	mux.Handle("POST /-/accounts/key", n.rootOnly(http.HandlerFunc(n.createAccountKey)))
	mux.Handle("GET /-/quotas", n.rootOnly(http.HandlerFunc(n.holding)))
	mux.Handle("GET /-/quotas/accounts", n.rootOnly(http.HandlerFunc(n.accountHoldings)))
	mux.Handle("GET /-/quotas/buckets", n.rootOnly(http.HandlerFunc(n.bucketHoldings)))
	mux.Handle("POST /-/quotas/set", n.rootOnly(http.HandlerFunc(n.setQuota)))
	mux.Handle("GET /-/ledger/verify", n.rootOnly(http.HandlerFunc(n.serveVerify)))
	mux.Handle("GET /-/ledger/consistency", n.rootOnly(http.HandlerFunc(n.serveConsistency)))
	mux.Handle("GET /-/ledger/proof/{seq}", n.rootOnly(http.HandlerFunc(n.serveProof)))
	mux.Handle("GET /-/reads", n.rootOnly(http.HandlerFunc(n.serveReads)))
	mux.Handle("GET /-/reads/verify", n.rootOnly(http.HandlerFunc(n.serveReadsVerify)))
	mux.Handle("GET /-/reads/checkpoint", n.rootOnly(http.HandlerFunc(n.serveReadsCheckpoint)))
	mux.Handle("GET /-/restore", n.rootOnly(http.HandlerFunc(n.serveRestorePlan)))
	mux.Handle("POST /-/restore/settings", n.rootOnly(http.HandlerFunc(n.serveRestoreSettings)))
	for _, method := range [...]string{"GET", "POST"} {
		mux.Handle(method+" /-/restore/objects", n.rootOnly(http.HandlerFunc(n.serveRestoreObjects)))
	}
	mux.Handle("GET /-/blobs/lost", n.rootOnly(http.HandlerFunc(n.serveLostBlobs)))
	mux.Handle("PUT /-/blobs/{id}", n.rootOnly(http.HandlerFunc(n.servePlaceBlob)))
	mux.Handle("GET /-/history", n.rootOnly(http.HandlerFunc(n.history)))
	mux.Handle("POST /-/history/set", n.rootOnly(http.HandlerFunc(n.setHistory)))
	mux.Handle("GET /-/feed", n.rootOnly(http.HandlerFunc(n.serveChanges)))
	mux.Handle("GET /-/feed/cursors", n.rootOnly(http.HandlerFunc(n.cursor)))
	for _, method := range [...]string{"GET", "PUT", "DELETE"} {
		mux.Handle(method+" /-/feed/cursors/{name}", n.rootOnly(http.HandlerFunc(n.cursor)))
	}
	n.backupRoutes(mux)
	mux.Handle("GET /-/events/{seq}", n.rootOnly(http.HandlerFunc(n.showEvent)))
	mux.Handle("GET /-/erasures", n.rootOnly(http.HandlerFunc(n.erasures)))
	mux.Handle("POST /-/erasures", n.rootOnly(http.HandlerFunc(n.erase)))
	mux.Handle("GET /-/pprof/profile", n.rootOnly(http.HandlerFunc(pprof.Profile)))
	mux.Handle("GET /-/pprof/heap", n.rootOnly(pprof.Handler("heap")))
	mux.Handle("GET /-/pprof/goroutine", n.rootOnly(pprof.Handler("goroutine")))
	return mux
}

// rootOnly authenticates the root account.
func (n *Node) rootOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access, secret, _ := r.BasicAuth()
		if !n.isRoot(access, secret) {
			w.Header().Set("WWW-Authenticate", `Basic realm="ironman admin", charset="UTF-8"`)
			http.Error(w, "the root account's access key and secret key are needed", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isRoot compares in constant time, whether or not there is such a key.
func (n *Node) isRoot(access, secret string) bool {
	want, ok := n.rootSecret(access)
	given := digest.SHA256([]byte(secret))
	kept := digest.SHA256(want.Reveal())
	return subtle.ConstantTimeCompare(given[:], kept[:]) == 1 && ok
}

func (n *Node) rootSecret(access string) (sig.Secret, bool) {
	v, err := n.machine.View()
	if err != nil {
		return sig.Secret{}, false
	}
	defer v.Close()
	k, err := v.AccessKey(access)
	if err != nil || k == nil || !k.Active || k.Account != rootAccount || k.User != "" {
		return sig.Secret{}, false
	}
	s, err := n.keyring.openSecret(access, k.SealedSecret)
	return s, err == nil
}

// readyLimit is how long a node that is ready may take to see the present.
const readyLimit = 2 * time.Second

// ready tells whether this node serves: its clock can be trusted, and it can see
// everything that was acknowledged anywhere.
func (n *Node) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyLimit)
	defer cancel()
	err := n.clockProblem()
	if err == nil {
		err = n.log.Barrier(ctx)
	}
	if err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// Status is what a node says of itself.
type Status struct {
	Node         uint32       `json:"node"`
	Version      string       `json:"version"`
	Incarnation  uint64       `json:"incarnation"`
	AppliedIndex uint64       `json:"applied_index"`
	Events       uint64       `json:"events"`
	StateDigest  string       `json:"state_digest"`
	LedgerRoot   string       `json:"ledger_root"` // of all events applied
	Archived     uint64       `json:"archived"`    // events in the ledger's files
	Leader       string       `json:"leader"`      // of the Raft group, as this node knows; empty: none
	Disks        []DiskStatus `json:"disks"`
	Ledger       LedgerStatus `json:"ledger"`
	Backups      int          `json:"backups,omitempty"` // that are being taken from this node
	// PacksHeldUntil: until then, or until the backup is over that it is for, no pack is
	// unlinked here.
	PacksHeldUntil *time.Time `json:"packs_held_until,omitempty"`
	// PastEpochs are those of the ledger that are over: the cluster was restored so often.
	PastEpochs []PastEpoch  `json:"past_epochs,omitempty"`
	Reads      *ReadsStatus `json:"reads,omitempty"` // nil: this node has no log of reads
}

// PastEpoch is an epoch of the ledger that is over.
type PastEpoch struct {
	Origin string `json:"ledger_origin"`
	Key    string `json:"ledger_key"`
	End    uint64 `json:"end"` // the event that began the next one
}

// DiskStatus is what a node says of one of its disks.
type DiskStatus struct {
	Number  uint32 `json:"number"`
	Slot    uint32 `json:"slot"`
	Failure string `json:"failure,omitempty"`
	Free    uint64 `json:"free,omitempty"` // bytes
	Low     bool   `json:"low,omitempty"`  // below the reserve: it takes no new shards
}

func (n *Node) status(w http.ResponseWriter, _ *http.Request) {
	s, err := n.Status()
	if err != nil {
		n.adminError(w, err)
		return
	}
	writeJSON(w, s)
}

func (n *Node) adminError(w http.ResponseWriter, err error) {
	if errors.Is(err, errNoObject) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if errors.Is(err, errBadAsk) {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.opts.Logger.Error("admin request failed", "err", err)
	switch {
	case errors.Is(err, wal.ErrNoLeader):
		http.Error(w, "no leader is known, which takes a majority of the nodes: try again", http.StatusServiceUnavailable)
		return
	case errors.Is(err, wal.ErrUnknown):
		http.Error(w, "whether it was done is not known yet: look before you try again", http.StatusServiceUnavailable)
		return
	}
	http.Error(w, "internal error", http.StatusInternalServerError)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client went away
}
