// Command guest is the world as a wasip1 module, whose time, randomness and end are
// its host's. Its argument is a world.Config in JSON; it prints a world.Message per
// line, and lines of the trace, which begin with t.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"ironman/sim/world"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(2)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("one argument is needed: a configuration")
	}
	var cfg world.Config
	if err := json.Unmarshal([]byte(os.Args[1]), &cfg); err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	say := func(m world.Message) error {
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		out.Write(append(b, '\n')) // its error comes with Flush
		return out.Flush()
	}
	outlets := world.Outlets{
		Progress: func(p world.Progress) { _ = say(world.Message{Progress: &p}) },
		Trace: func(line []byte) {
			out.WriteByte('t')
			out.Write(line)
		},
	}
	if cfg.Log {
		outlets.Log = io.Writer(os.Stderr)
	}
	return say(world.Message{Report: world.Run(cfg, outlets)})
}
