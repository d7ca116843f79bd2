# What each target is for stands behind its name; `make` alone lists them.

GO        ?= go
FUZZTIME  ?= 5s
RAPID     ?= 20000
KEYS      ?= 1000000
ROUNDS    ?= 50
KILLS     ?= 30
HISTORIES ?= 20000
LIVETIME  ?= 10m
BENCHTIME ?= 1s
SIMULATIONS ?= 50000
HARMTIME ?= 30m

# Packages whose own tests do one thing after the other: the race detector finds nothing in them that it does not find in
# those of server and test, where their code runs for many clients at once, and makes them five to ten times slower.
# `make nightly` runs them with it. What keyspace itself shares between commands is ALONGSIDE.
SINGLE := $(addprefix ./internal/,bitmap command geohash hll keyspace lua lualib pqsort prefixes rdb resp)
ALONGSIDE := TestSamples

# The others: neither checks of the source itself nor measurements.
RACE ?= $(filter-out $(SINGLE),$(shell $(GO) list ./... | sed 's,^github.com/elastickv/elastickv,.,' | grep -v -e ^./internal/arch$$ -e ^./bench))

# The packages that take longest begin first, so that the others run beside them and not before.
LONGEST := ./test ./store ./internal/script

# go build optimises the program by cmd/elastickv/default.pgo, and compiles for that all it consists of once more. Where it is
# to be right, not fast, that is spared.
test race lint fuzz nightly: export GOFLAGS += -pgo=off

.DEFAULT_GOAL := help
.PHONY: help build test kms race lint fuzz bench-micro bench-store bench-redis bench-memory bench-large bench-start bench-scale bench-steady bench-cluster profile nightly

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/elastickv, without the tables that only debuggers read
	$(GO) build -trimpath -ldflags '-s -w' -o bin/elastickv ./cmd/elastickv

test: ## every test, other people's clients and job queues included
	$(GO) test -timeout 15m $(LONGEST) ./...
	$(GO) test -C bench/store -timeout 5m ./...
	$(GO) test -C bench/etcd -timeout 5m ./...
	$(GO) test -C test/clients -timeout 10m ./...

kms: ## bin/elastickv-kms, for key management services, and its tests; a module of its own
	$(GO) test -C kms -timeout 10m ./...
	$(GO) vet -C kms ./...
	$(GO) build -C kms -o ../bin/elastickv-kms .

race: ## the tests under the race detector, the server they start included
	$(GO) test -race -short -timeout 15m $(LONGEST) $(RACE)
	$(GO) test -race -short -timeout 5m -run '$(ALONGSIDE)' ./internal/keyspace

lint: bin/staticcheck ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not gofmt'ed:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -C bench/store ./...
	$(GO) vet -C bench/etcd ./...
	$(GO) vet -C test/clients ./...
	bin/staticcheck ./...
	cd bench/store && ../../bin/staticcheck ./...
	cd bench/etcd && ../../bin/staticcheck ./...
	cd test/clients && ../../bin/staticcheck ./...

bin/staticcheck: tools/go.mod tools/go.sum
	$(GO) build -C tools -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

fuzz: ## every fuzz target for FUZZTIME (5s)
	@set -e; \
	for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$($(GO) test -list '^Fuzz' $$dir | grep '^Fuzz'); do \
			echo "fuzz $$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir; \
		done; \
	done

bench-micro: ## the benchmarks inside package store
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./store

bench-store: ## the store against raw Pebble and Badger, with targets; the report goes into bench/history
	$(GO) run -C bench/store . -history ../history

bench-redis: ## redis-benchmark and what applications do, by turns against us and a redis-server that syncs every write; all reports of bench go into bench/history
	$(GO) run ./bench redis -history bench/history
	$(GO) run ./bench mixes -history bench/history

bench-memory: ## reads and writes of ten times the caches, beside the engine alone and data that fit; the limit of memory
	$(GO) run ./bench memory -history bench/history

bench-large: ## values of 64 MiB and collections of a million members, beside a redis-server
	$(GO) run ./bench large -history bench/history

bench-start: ## opening a folder of 10 GB (-size in MB), an idle server, the program
	$(GO) run ./bench start -history bench/history

bench-scale: ## one processor and two
	$(GO) run ./bench scale -history bench/history

bench-cluster: ## three nodes beside one, and beside an etcd of three (Debian: apt-get install etcd-server)
	$(GO) run ./bench cluster -history bench/history

bench-steady: ## an hour of mixed writes at full speed: stalls, percentiles by the minute
	$(GO) run ./bench steady -history bench/history

profile: ## cmd/elastickv/default.pgo, by which the compiler optimises the program: what it does in bench-redis
	$(GO) run ./bench profile

nightly: lint ## the long run: many rounds, many random histories, a million keys
	$(GO) test -count=3 -timeout 60m ./...
	$(GO) test -race -timeout 60m $(RACE)
	$(GO) test -race -timeout 60m $(SINGLE)
	$(GO) test -timeout 60m $$(grep -rl --include='*_test.go' 'pgregory.net/rapid' . | xargs -n1 dirname | sort -u) -rapid.checks=$(RAPID)
	$(GO) test -timeout 120m ./internal/replica -run 'TestSimulation$$' -sim.runs $(SIMULATIONS)
	GOFLAGS=-pgo=auto $(GO) test -timeout 120m ./test -run 'TestRecovery|TestKillUnderLoad' -keys $(KEYS) -rounds $(ROUNDS)
	$(GO) test -timeout 60m ./test -run TestLiveFuzz -live.time $(LIVETIME)
	$(GO) test -timeout 120m ./test -run 'TestNemesis$$' -nemesis.time $(HARMTIME)
	$(GO) test -timeout 60m ./test -run TestDifferential -histories $(HISTORIES)
	$(GO) test -C test/clients -timeout 120m . -kills $(KILLS)
	$(MAKE) kms
	$(MAKE) fuzz FUZZTIME=60s
