package audit

import (
	"ironman/fsm"
	"ironman/wal/ledger"
)

// Erased is what a state says was erased of the events from one sequence to below another,
// as a ledger takes it.
func Erased(m *fsm.Machine, from, to uint64) (targets []ledger.Target, err error) {
	err = m.Erased(from, to, func(p fsm.ErasedPayload) bool {
		targets = append(targets, ledger.Target{Seq: p.Seq, Items: p.Items, Lenient: true})
		return true
	})
	return targets, err
}
