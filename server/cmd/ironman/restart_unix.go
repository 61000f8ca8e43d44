//go:build unix

package main

import (
	"log/slog"
	"os"
	"syscall"
)

// restart begins the process anew, with the same arguments, id and standard files.
// It does not return: if the system refuses, whoever runs the node must start it.
func restart(log *slog.Logger, reason string) {
	log.Warn("the node starts anew", "reason", reason)
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, os.Environ())
	}
	log.Error("the node could not start itself anew", "err", err)
	os.Exit(exitRestart)
}
