package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Machine is what a session ran on. Empty and zero: unknown.
type Machine struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
	Kernel      string `json:"kernel"`
	Go          string `json:"go"` // that built the generator
}

// readMachine asks procfs, mounted at proc.
func readMachine(proc string) Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
	// What cannot be read stays unknown.
	if b, err := os.ReadFile(filepath.Join(proc, "cpuinfo")); err == nil {
		for line := range bytes.Lines(b) {
			if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
				m.CPU = string(bytes.TrimSpace(value))
				break
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(proc, "meminfo")); err == nil {
		n, _ := field(b, "MemTotal")
		m.MemoryBytes = n * kib
	}
	if b, err := os.ReadFile(filepath.Join(proc, "sys/kernel/osrelease")); err == nil {
		m.Kernel = string(bytes.TrimSpace(b))
	}
	return m
}

// String describes the machine in one line.
func (m Machine) String() string {
	s := m.CPU
	if s == "" {
		s = "unknown processor"
	}
	s += fmt.Sprintf(", %d cores", m.Cores)
	if m.MemoryBytes > 0 {
		s += fmt.Sprintf(", %.1f GiB", float64(m.MemoryBytes)/(1<<30))
	}
	if m.Kernel != "" {
		s += ", kernel " + m.Kernel
	}
	return s + ", " + m.Go
}
