// Command program has a wrong change in it.
package main

import "ironman/sim/sabotage"

func main() {
	if sabotage.On(sabotage.X01) {
		println("this is the wrong change")
	}
}
