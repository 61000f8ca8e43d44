//go:build sabotage

package sabotage

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// chosen is the one id that is in effect; read once.
var chosen = sync.OnceValue(func() ID {
	id := ID(os.Getenv(Variable))
	if _, known := Find(id); id != "" && !known {
		panic(fmt.Sprintf("%s=%s: there is no such sabotage", Variable, id))
	}
	return id
})

// reached says, once, that the line of the chosen id was come to: a test that never
// gets there shows nothing.
var reached = sync.OnceFunc(func() { fmt.Fprintf(os.Stderr, "%s%s\n", Reached, chosen()) })

// On tells whether a wrong change is in effect.
func On(id ID) bool {
	if id != chosen() {
		return false
	}
	reached()
	return true
}

// Now is the wall clock where X36 and X39 read it.
func Now() int64 { return time.Now().UnixNano() }

// Shuffle puts a list into the order in which a map gives it, if a wrong change is in
// effect.
func Shuffle[T any](id ID, list []T) {
	if !On(id) {
		return
	}
	byPlace := make(map[int]T)
	for i, v := range list {
		byPlace[i] = v
	}
	i := 0
	for _, v := range byPlace {
		list[i] = v
		i++
	}
}
