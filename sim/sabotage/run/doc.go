// Command run shows that the tests find the wrong changes of package sabotage: one
// after the other it puts each into effect, and goes through the tiers that plan
// names for it, cheapest first, until one fails as it should.
//
// A tier must pass first without any wrong change: else that it fails shows nothing.
// To add a kind of tier, implement the interface tier; to use it, name it in plan.
//
//	go run ./sim/sabotage/run                  all of them
//	go run ./sim/sabotage/run --only X01,X15   some
//	go run ./sim/sabotage/run --list           what is to find what
//	go run ./sim/sabotage/run --tier fast      does the simulated world find them, too?
//
// Tiers are l0 (tests of a package), fast (L1-fast: the world in bubbles) and replay
// (L1-replay: the world as a module, as `ironman sim` runs it). The simulated ones run
// one seed after the other, up to --seeds and 10 minutes of the processor. A seed shows a
// wrong change only if the run came to that change, ended by itself, a check of the world
// fired other than that enough was done (C7), and the same seed shows nothing without the
// change. What cannot be built, does not end or is killed finds nothing.
//
// record.txt holds how many seeds each needed, and --record writes it anew; one that needs
// many times more is worse, which is a failure.
//
// The exit status is 1 if a wrong change was not found.
package main
