//go:build !unix

package main

import (
	"log/slog"
	"os"
)

// restart ends the process: whoever runs the node must start it again.
func restart(log *slog.Logger, reason string) {
	log.Warn("the node must be started anew", "reason", reason)
	os.Exit(exitRestart)
}
