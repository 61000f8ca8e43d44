//go:build unix

package main

import "syscall"

// restrictFileModes keeps every file the process makes from other users.
func restrictFileModes() { syscall.Umask(0o077) }
