package main

import "ironman/sim/sabotage"

// plan names, for each wrong change, the tiers that are to find it, cheapest first.
func plan(w *workshop, seeds int) map[sabotage.ID][]tier {
	const (
		segment = "./wal/segment"
		wal     = "./wal"
		fsm     = "./fsm"
		erasure = "./erasure"
		server  = "./server"
	)
	world := w.fast(seeds)
	crash := w.tests("./sim/crash", "^TestCrash$")
	collector := w.tests(server, "^TestCollector$").full()
	return map[sabotage.ID][]tier{
		sabotage.X01: {w.tests(segment, "^TestCrashEverywhere$")},
		sabotage.X02: {w.tests(segment, "^TestCrashEverywhere$")},
		sabotage.X03: {w.tests(wal, "^TestIsolatedLeaderAcknowledges$").again(3)},
		sabotage.X04: {w.tests(erasure, "^(TestWriteErrors|TestDroppedShard)$")},
		sabotage.X05: {w.tests(erasure, "^TestCrashAtEveryOperation$")},
		sabotage.X06: {w.tests(erasure, "^TestPutGet$"), w.tests(erasure, "^TestDamageWithinTolerance$")},
		sabotage.X07: {w.tests(erasure, "^TestBinding$")},
		sabotage.X08: {w.tests(erasure, "^TestBinding$")},
		sabotage.X09: {w.tests(erasure, "^TestDigestIsVerified$")},
		sabotage.X10: {w.tests(segment, "^TestEveryFailureIsFatal$")},
		sabotage.X11: {w.tests(segment, "^(TestBitFlips|TestLostSectors)$")},
		sabotage.X12: {w.tests(segment, "^TestGapIsFatal$")},
		sabotage.X13: {w.tests(segment, "^TestCrashEverywhere$")},
		sabotage.X14: {w.tests(wal, "^TestStable$")},
		sabotage.X15: {w.tests(fsm, "^(TestIndexes|TestReopen)$")},
		sabotage.X16: {w.tests(fsm, "^TestFullMemtables$")},
		sabotage.X17: {w.tests(fsm, "^TestCheckpoint$")},
		sabotage.X18: {w.tests(wal, "^TestStartRefusesWhatWasLost$")},
		sabotage.X19: {w.tests(wal, "^TestInstall$"), w.tests(wal, "^TestLateInstallSnapshot$")},
		sabotage.X20: {w.tests(wal, "^TestHeartbeatWaits$").again(3)},
		sabotage.X21: {w.tests(fsm, "^TestTranscripts$/^conditions$")},
		sabotage.X22: {w.tests(fsm, "^TestTranscripts$/^(conditions|uploads)$")},
		sabotage.X23: {w.tests(wal, "^(TestIsolatedLeader|TestFollowerWaits)$").again(3)},
		sabotage.X24: {w.tests(wal, "^TestUnsettledLeader$").again(3)},
		sabotage.X25: {w.tests(fsm, "^TestTranscripts$/^blobs$"), collector},
		sabotage.X26: {w.tests(fsm, "^TestTranscripts$/^packs$"), collector},
		sabotage.X27: {w.tests(fsm, "^TestTranscripts$/^blobs$"), collector},
		sabotage.X30: {w.tests(server, "^TestUnknownPacksStay$"), collector},
		sabotage.X31: {w.tests(server, "^TestStrangeDisks$").processes()},
		sabotage.X32: {w.tests(erasure, "^TestChooseSurvives$").full()},
		sabotage.X33: {w.tests(fsm, "^TestTranscripts$/^listings$")},
		sabotage.X34: {w.tests(server, "^TestListingIsOneMoment$").again(10)},
		sabotage.X35: {w.tests(fsm, "^TestTranscripts$/^listings$")},
		sabotage.X36: {w.tests(fsm, "^TestReplay$")},
		sabotage.X37: {w.tests(fsm, "^TestReplay$")},
		sabotage.X38: {w.tests(fsm, "^TestModelLong$")},
		sabotage.X39: {w.tests(fsm, "^TestTranscripts$/^locks$")},
		sabotage.X40: {w.tests(fsm, "^(TestWindow|TestCancel)$")},
		sabotage.X41: {w.tests(server, "^TestDamage$").processes()},
		sabotage.X42: {w.tests(fsm, "^TestRefusedChangesNothing$").full()},
		sabotage.X43: {w.tests(wal, "^(TestClassify|TestStepDown)$")},
		sabotage.X44: {w.tests(fsm, "^TestTranscripts$/^versions$")},
		sabotage.X45: {w.tests(erasure, "^(TestReserve|TestLowDisks)$")},
		sabotage.X46: {w.tests(erasure, "^TestWriteBudget$")},
		sabotage.X47: {w.tests(server, "^TestRefusesToStart$/^log_and_state_are_gone$").processes()},
		sabotage.X48: {w.tests(fsm, "^TestTranscripts$/^blobs$"), w.tests(erasure, "^TestOpenSetBack$")},
		sabotage.X49: {w.tests(wal, "^TestFirstEntry$")},
		sabotage.X50: {w.tests(segment, "^TestArchivedFilesGo$")},
		sabotage.X51: {w.tests(fsm, "^TestTranscripts$/^copies$")},
		sabotage.X52: {w.tests(wal, "^TestInstall$"), w.tests(wal, "^TestInstallCrash$")},
		sabotage.X53: {w.tests(wal, "^TestDivergedFollower$"), w.tests(wal, "^TestInstallCrash$")},
		sabotage.X54: {w.tests(wal, "^TestLateInstallSnapshot$"), w.tests(wal, "^TestGetLogAtFloor$")},
		sabotage.X55: {w.tests(wal, "^TestDeleteRange$")},
		sabotage.X56: {w.tests(wal, "^TestRefusedEntries$").again(3)},
		sabotage.X57: {w.tests(wal, "^TestStuckHandover$")},
		sabotage.X58: {w.tests(wal, "^TestHungDisk$")},
		sabotage.X59: {w.tests(fsm, "^TestTranscripts$/^packs$"), collector},
		sabotage.X60: {w.tests(wal, "^TestUnheardPromotion$")},
		sabotage.X61: {world},
		sabotage.X62: {world},
		sabotage.X63: {world},
		sabotage.X64: {w.tests(fsm, "^TestTranscripts$/^transactions$")},
		sabotage.X65: {w.tests(fsm, "^TestTranscripts$/^restores$")},
		sabotage.X66: {w.tests(fsm, "^TestTranscripts$/^retention$")},
		sabotage.X67: {world},
		sabotage.X68: {crash},
		sabotage.X69: {w.tests(fsm, "^TestClean$")},
		sabotage.X70: {crash},
		sabotage.X71: {w.tests(server, "^TestFeedStream$"), world},
		sabotage.X72: {w.tests(fsm, "^TestModelLong$")},
		sabotage.X73: {w.tests(fsm, "^TestTranscripts$/^cursors$")},
		sabotage.X74: {w.tests(server, "^TestClockVerdict$")},
		sabotage.X75: {w.tests(server, "^TestFeedLines$"), world},
	}
}

// only leaves of a plan the tiers that were asked for, and adds those of the simulated
// world: whatever finds a wrong change otherwise, does that find it, too?
func (w *workshop) only(planned map[sabotage.ID][]tier, asked request) map[sabotage.ID][]tier {
	if len(asked.tiers) == 0 {
		return planned
	}
	fast, replay := w.fast(asked.seeds), w.replay(asked.seeds)
	out := make(map[sabotage.ID][]tier)
	for _, s := range sabotage.List() {
		if s.Waits != "" {
			continue
		}
		for _, name := range asked.tiers {
			switch name {
			case tierFast:
				out[s.ID] = append(out[s.ID], fast)
			case tierReplay:
				out[s.ID] = append(out[s.ID], replay)
			default:
				for _, t := range planned[s.ID] {
					if _, ok := t.(goTest); ok {
						out[s.ID] = append(out[s.ID], t)
					}
				}
			}
		}
	}
	return out
}
