//go:build !unix

package main

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

func ownGroup() *syscall.SysProcAttr { return nil }

// lockFile: this system has no locks that a node could inherit.
func lockFile(string, int, time.Duration, io.Writer) (*os.File, error) {
	return nil, errors.New("ironman cluster runs on Unix systems only")
}
