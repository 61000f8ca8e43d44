// Package sim will drive whole clusters of the production code under injected
// faults, in virtual time, replayable from a seed. What is here so far is what
// that rests on: the server builds for GOOS=wasip1 (see build.sh beside this file),
// and all its disk, network, time and failure goes through server.Options.
package sim
