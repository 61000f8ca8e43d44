//go:build !unix

package main

// restrictFileModes: this system has no file mode mask.
func restrictFileModes() {}
