package fsm

import (
	"flag"
	"os"
)

// Property tests draw the same cases at each run, so that what makes one fail is a
// change. With IRONMAN_RANDOM they draw others each time ("make properties").
func init() {
	if os.Getenv("IRONMAN_RANDOM") != "" {
		return
	}
	if err := flag.Set("rapid.seed", "1"); err != nil { // -rapid.seed comes after it
		panic(err)
	}
}
