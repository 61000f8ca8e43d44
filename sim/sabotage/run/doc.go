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
//
// The exit status is 1 if a wrong change was not found.
package main
