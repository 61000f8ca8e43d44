package main

import (
	"fmt"
	"os"
	"testing"
)

// actAs makes a process that runs this test binary behave as another program.
const actAs = "IRONMAN_TEST_ACT_AS"

// TestMain lets the test binary stand for the command, so that its processes run
// the code of this test, under the race detector if it does.
func TestMain(m *testing.M) {
	switch os.Getenv(actAs) {
	case "":
		os.Exit(m.Run())
	case "ironman":
		main()
		os.Exit(0) // or the flags of a test binary would be looked for
	case "dies at once":
		fmt.Fprintln(os.Stderr, "a last word")
		os.Exit(7)
	case "a node":
		actAsNode(os.Args)
		os.Exit(0)
	}
	panic("nobody to act as")
}
