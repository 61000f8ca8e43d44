package server_test

import (
	"bufio"
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// floors of the packages: imports point down only.
var floors = map[string]int{
	"ironman/sim/disk":           0,
	"ironman/wal/digest":         0,
	"ironman/wal/durable":        0,
	"ironman/wal/event":          0,
	"ironman/wal/merkle":         0,
	"ironman/sim/sabotage":       0,
	"ironman/wal/overlay":        0,
	"ironman/wal/segment":        1,
	"ironman/wal/ledger":         1,
	"ironman/wal/reads":          1,
	"ironman/wal":                1,
	"ironman/fsm":                2,
	"ironman/erasure":            2,
	"ironman/s3api/sig":          3,
	"ironman/s3api/sse":          3,
	"ironman/s3api/access":       3,
	"ironman/s3api/accesslog":    3,
	"ironman/s3api/iam":          3,
	"ironman/s3api/policy":       3,
	"ironman/s3api/checksum":     3,
	"ironman/s3api/lifecycle":    3,
	"ironman/s3api/notify":       3,
	"ironman/s3api/s3xml":        3,
	"ironman/s3api/s3err":        3,
	"ironman/s3api/form":         3,
	"ironman/s3api/website":      3,
	"ironman/s3api/transaction":  3,
	"ironman/s3api/transact":     3,
	"ironman/s3api":              3,
	"ironman/server/audit":       4,
	"ironman/server/backup":      4,
	"ironman/server/link":        4,
	"ironman/server/mirror":      4,
	"ironman/server/outbound":    4,
	"ironman/server/webidentity": 4,
	"ironman/server":             4,
	"ironman/sim/network":        0,
	"ironman/sim/history":        0,
	"ironman/sim/crash":          4,
	"ironman/sim/load":           4,
	"ironman/sim/offline":        4,
	"ironman/sim/world":          4,
	"ironman/sim/guest":          5,
	"ironman/sim":                4,
	"ironman/bench":              4,
	"ironman/server/cmd/ironman": 5,
	"ironman/sim/sabotage/run":   5,
}

// owners of third-party libraries: nobody else may import them. Tests are free.
var owners = map[string][]string{
	"github.com/hashicorp/raft":                      {"ironman/wal"},
	"github.com/hashicorp/go-hclog":                  {"ironman/wal"},
	"github.com/cockroachdb/pebble/v2":               {"ironman/fsm"},
	"github.com/klauspost/reedsolomon":               {"ironman/erasure"},
	"github.com/julienschmidt/httprouter":            {"ironman/s3api"},
	"github.com/minio/sha256-simd":                   {"ironman/wal/digest"},
	"github.com/minio/crc64nvme":                     {"ironman/wal/digest"},
	"github.com/zeebo/xxh3":                          {"ironman/wal/digest"},
	"crypto/md5":                                     {"ironman/wal/digest"},
	"crypto/sha1":                                    {"ironman/wal/digest"},
	"crypto/sha256":                                  {"ironman/wal/digest"},
	"hash/crc32":                                     {"ironman/wal/digest"},
	"github.com/spf13/cobra":                         {"ironman/server/cmd/ironman", "ironman/bench"},
	"github.com/go-jose/go-jose/v4":                  {"ironman/server/webidentity"},
	"github.com/prometheus/client_golang/prometheus": {"ironman/server"},
	"github.com/tetratelabs/wazero":                  {"ironman/sim"},
	"github.com/anishathalye/porcupine":              {"ironman/sim/history"},
	"github.com/schollz/progressbar/v3":              {"ironman/server/cmd/ironman"},
	"os":                                             {"ironman/server/cmd/ironman", "ironman/bench", "ironman/sim/guest", "ironman/sim/sabotage", "ironman/sim/sabotage/run"},
}

// forbidden pairs: siblings that must not know each other.
var forbidden = map[string][]string{
	"ironman/fsm":     {"ironman/erasure", "ironman/wal", "ironman/wal/segment", "ironman/wal/ledger"},
	"ironman/erasure": {"ironman/fsm", "ironman/wal", "ironman/wal/segment", "ironman/wal/ledger"},
	"ironman/server/link": {"ironman/server", "ironman/sim", "ironman/bench", "ironman/fsm", "ironman/erasure", "ironman/wal", "ironman/wal/event",
		"ironman/wal/segment", "ironman/wal/ledger", "ironman/s3api"},
	"ironman/s3api": {"ironman/wal", "ironman/wal/segment", "ironman/wal/ledger", "ironman/wal/reads", "ironman/erasure"},
}

// TestArchitecture keeps the floors, the owners of libraries, and siblings apart.
func TestArchitecture(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "ironman/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		pkg := fields[0]
		floor, ok := floors[pkg]
		if !ok {
			t.Errorf("%s stands on no floor", pkg)
			continue
		}
		known[pkg] = true
		for _, imp := range fields[1:] {
			checkImport(t, pkg, floor, imp)
		}
	}
	for pkg := range floors {
		if !known[pkg] {
			t.Errorf("%s has a floor but does not exist", pkg)
		}
	}
}

func checkImport(t *testing.T, pkg string, floor int, imp string) {
	t.Helper()
	if strings.HasPrefix(imp, "ironman/") {
		if f, ok := floors[imp]; ok && f > floor {
			t.Errorf("%s (floor %d) imports %s (floor %d): up", pkg, floor, imp, f)
		}
	}
	for _, f := range forbidden[pkg] {
		if imp == f {
			t.Errorf("%s must not know %s", pkg, imp)
		}
	}
	if allowed, ok := owners[imp]; ok && !contains(allowed, pkg) {
		t.Errorf("%s imports %s, which belongs to %v", pkg, imp, allowed)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
