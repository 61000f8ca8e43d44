package main

import (
	"context"
	"io"
	"log/slog"
	"os"
)

// lifelineFD is the file descriptor on which a node of `ironman cluster` has its end
// of a pipe. Nobody writes to that pipe; it ends with the process that started the
// node, in whatever way that process ends. (A signal at the parent's death, as Linux
// has it, would come when the parent's thread ends, which in Go is any time.)
const lifelineFD = 3

// awaitParent calls alone once the process that started this one is gone.
func awaitParent(log *slog.Logger, alone context.CancelFunc) {
	_, err := io.Copy(io.Discard, os.NewFile(lifelineFD, "lifeline"))
	log.Warn("stopping: the process that started this node is gone", "err", err)
	alone()
}
