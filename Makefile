# IronMan-S3. `make` alone explains itself.
SHELL := /bin/sh
export CGO_ENABLED ?= 0
GO ?= go
DATA ?= data
TESTFLAGS ?=
NODES ?= 3
DISKS ?= 2

.PHONY: help build run cluster clients conformance test check race lint fmt generate wasip1 sim sim-build sim-long sim-fast crash chaos sabotage races fuzz properties golden bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/ironman
	$(GO) build -trimpath -o bin/ironman ./server/cmd/ironman

run: build ## one node on 127.0.0.1:9000 with six disk directories (4+2) under data/
	./bin/ironman server --dir $(DATA)/node --listen 127.0.0.1:9000 --admin 127.0.0.1:9200 \
	  --disks $(DATA)/disk1,$(DATA)/disk2,$(DATA)/disk3,$(DATA)/disk4,$(DATA)/disk5,$(DATA)/disk6

cluster: build ## a cluster of NODES (3) processes with DISKS (2) disk directories each, S3 from 127.0.0.1:9000 on, under data/
	./bin/ironman cluster --nodes $(NODES) --disks $(DISKS) --dir $(DATA)/cluster --port 9000

CLIENTS ?=
clients: build ## real S3 clients (aws, boto3, s3cmd, rclone, restic, s3fs, node) against a cluster; installs them; CLIENTS="aws node"
	NODES=$(NODES) DISKS=$(DISKS) ./server/clients/run.sh $(CLIENTS)

TESTS ?=
TLS ?=
conformance: build ## ceph/s3-tests of the checkout S3TESTS_DIR against a fresh cluster of three nodes; TESTS="-k multipart" only some; TLS=1 by TLS
	NODES=$(NODES) DISKS=$(DISKS) TLS=$(TLS) ./server/conformance/run.py $(TESTS)

test: lint wasip1 race check ## everything that must pass before a commit

# Packages with concurrency run under the race detector, which needs cgo; the rest
# and the end-to-end tests, whose servers are processes of their own, without it.
RACE := ./wal/... ./erasure/... ./s3api/... ./fsm/... ./server/link ./sim/disk ./sim/network

race: ## tests of the packages with concurrency, under the race detector
	CGO_ENABLED=1 $(GO) test -race -short -timeout 20m $(TESTFLAGS) $(RACE)

# End-to-end tests mostly wait, for elections and for disks: three at a time, and nothing
# beside them.
check: ## all tests
	$(GO) test -timeout 30m -parallel 3 $(TESTFLAGS) ./server
	$(GO) test -timeout 30m -parallel 3 $(TESTFLAGS) $$($(GO) list ./... | grep -v '/server$$')

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags sabotage ./...
	$(GO) tool staticcheck ./...

wasip1: ## the server for the system that the simulator runs
	./sim/build.sh ./server
	./sim/build.sh -tags sabotage ./server

ONLY ?=
TIER ?=
SABOTAGEFLAGS ?=
sabotage: ## the tests find every wrong change of the list; ONLY="X01,X15"; TIER=fast: does the simulated world find them, too?
	$(GO) run ./sim/sabotage/run --only "$(ONLY)" --tier "$(TIER)" $(SABOTAGEFLAGS)

SEED ?= 1
SEEDS ?= 20
sim sim-build: MINUTES ?= 1
SIMFLAGS ?=
sim-build: build ## what `ironman sim` runs: the server in its simulated world, bin/sim.wasm
	./sim/build.sh -o bin/sim.wasm ./sim/guest

sim: sim-build ## SEEDS (20) simulated clusters from SEED (1) on, MINUTES (1) of faults each
	./bin/ironman sim --seed $(SEED) --seeds $(SEEDS) --minutes $(MINUTES) $(SIMFLAGS)

sim-long: ## 200 seeds of a virtual minute each
	$(MAKE) sim SEEDS=200 MINUTES=1

# A run is not repeatable, so that the same seeds may be run again. Pebble's own
# checks and those of unsafe pointers, half of the time, are left to the other tests. All
# libraries are watched: without one of them the generic code that it shares with others,
# such as sync.Map, may come from there, and what is no race is taken for one.
THINK ?= 300ms
sim-fast: ## the same world under the race detector, not repeatable: SEEDS from SEED on
	./sim/pebble.sh race
	CGO_ENABLED=1 IRONMAN_SIM_SEEDS=$(SEED)+$(SEEDS) IRONMAN_SIM_THINK=$(THINK) $(GO) test -race -modfile=.build/race.mod \
	  -gcflags=all=-d=checkptr=0 -timeout 24h -v -run '^TestFast$$' ./sim/world

crash: ## the node ends at every file operation, and again while it recovers; SEED; WAY="120n,33s" only that
	IRONMAN_CRASH_FULL=1 IRONMAN_CRASH_SEED=$(SEED) IRONMAN_CRASH_WAY=$(WAY) $(GO) test -timeout 2h -count 1 -v -run '^TestCrash$$' ./sim/crash

FAULTS ?=
chaos: MINUTES ?= 2
chaos: build ## three processes, MINUTES (2) of random faults under load; SEED sets the schedule; FAULTS="P2,N1" only these
	IRONMAN_CHAOS=$(MINUTES) IRONMAN_CHAOS_SEED=$(SEED) IRONMAN_CHAOS_FAULTS=$(FAULTS) IRONMAN_BINARY=$$PWD/bin/ironman \
	  $(GO) test -timeout 24h -count 1 -v -run '^TestChaos$$' ./server

generate: ## code of the protobuf schemas (needs protoc)
	$(GO) build -o .build/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
	PATH="$$PWD/.build:$$PATH" protoc --go_out=. --go_opt=module=ironman wal/event/event.proto wal/event/read.proto fsm/row.proto

ROUNDS ?= 1000
races: ## ROUNDS (1000) of 32 conditional requests that race for a key through three nodes: one winner each; and of transactions
	IRONMAN_RACES=$(ROUNDS) $(GO) test -timeout 24h -count 1 -v -run '^TestCluster(Transaction)?Races$$' ./server

FUZZTIME ?= 30s
FUZZED ?= ./...
PROPERTIES ?= 2000
properties: ## property tests of the state machine over PROPERTIES (2000) cases each, drawn anew
	IRONMAN_RANDOM=1 $(GO) test -timeout 60m ./fsm -run '^Test(Model|Versions|Transactions|VaultModel)$$' -rapid.checks=$(PROPERTIES)

fuzz: ## every fuzz target for FUZZTIME (30s); FUZZED="./s3api/..." only those of some packages
	@for p in $$($(GO) list $(FUZZED)); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

golden: ## rewrite golden files; read the difference before you commit it
	$(GO) test ./fsm/... ./erasure/... ./wal/segment/... ./wal/ledger/... ./server/... -run 'Golden|Transcript' -update
	$(GO) test ./s3api -run '^TestSupport$$' -update

clean: ## remove what was built (not data/)
	rm -rf bin .build
