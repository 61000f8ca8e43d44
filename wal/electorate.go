package wal

import (
	"math"
	"strconv"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"ironman/sim/sabotage"
)

// electorate has raft judge a candidate by its log alone if that is ahead of this
// node's. Raft 1.8 gives no vote to a node that is no voter by its own newest
// configuration. But a candidate that is ahead may be a voter by an entry that this
// node does not have yet, and that a majority has: if the leader is lost just after
// it promoted a node, those that are left would elect nobody. Raft's rule is that a
// node answers candidates whether they are in its configuration or not (Ongaro,
// "Consensus: Bridging Theory and Practice", section 4.1).
//
// A candidate that is not ahead is left to raft's check, which keeps one that was
// removed, and does not know it, from raising terms.
type electorate struct {
	raft atomic.Pointer[raft.Raft] // nil until it runs
}

// admit returns what another node sent as raft is to see it. Raft uses the ID in a
// request for a vote for that check alone.
func (e *electorate) admit(command any) any {
	switch req := command.(type) {
	case *raft.RequestVoteRequest:
		if _, admits := e.unknown(req.ID, req.LastLogTerm, req.LastLogIndex); admits {
			as := *req
			as.ID = nil // without an ID there is no check
			return &as
		}
	case *raft.RequestPreVoteRequest:
		if voter, admits := e.unknown(req.ID, req.LastLogTerm, req.LastLogIndex); admits {
			as := *req
			as.ID = []byte(voter)
			return &as
		}
	}
	return command
}

// unknown tells whether a candidate whose log ends with the entry index of term is
// ahead of this node, and no voter as far as this node knows; and who is one.
func (e *electorate) unknown(candidate []byte, term, index uint64) (voter raft.ServerID, admits bool) {
	r := e.raft.Load()
	if r == nil || sabotage.On(sabotage.X60) {
		return "", false
	}
	f := r.GetConfiguration()
	if f.Error() != nil {
		return "", false
	}
	for _, s := range f.Configuration().Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		if s.ID == raft.ServerID(candidate) {
			return "", false
		}
		voter = s.ID
	}
	lastTerm, lastIndex := lastEntry(r)
	return voter, voter != "" && (term > lastTerm || term == lastTerm && index > lastIndex)
}

// lastEntry is the newest entry of a node's log, or what its newest snapshot ends
// with if the log is behind that.
func lastEntry(r *raft.Raft) (term, index uint64) {
	stats := r.Stats() // raft tells the terms nowhere else
	number := func(name string) uint64 {
		v, err := strconv.ParseUint(stats[name], 10, 64)
		if err != nil {
			return math.MaxUint64 // nobody is ahead
		}
		return v
	}
	term, index = number("last_log_term"), number("last_log_index")
	if at := number("last_snapshot_index"); index < at {
		return number("last_snapshot_term"), at
	}
	return term, index
}
