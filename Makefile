# Jindo. `make help` lists the targets.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

# -trimpath keeps paths out of the objects, so that all checkouts share one cache.
export GOFLAGS := -trimpath -buildvcs=false

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# Only the linker sets the version; nothing else differs from a plain go build,
# so that packages are compiled once for the binaries, the linter and the tests.
BUILD   := -ldflags "-X github.com/jindo-io/jindo/pkg/version.version=$(VERSION)"
BINARIES := master worker fuse jindo kubectl-jindo cleaner
STORE   ?= oss

# KUBE_TESTS need an API server. hack/packages lists the others.
KUBE_TESTS := ./pkg/kube/controller/... ./test/kube/...

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Install missing system packages (root on Debian), or list them. CLUSTER=1: those of a test cluster too.
	@hack/deps

.PHONY: build
build: ## Build every binary into bin/.
	@mkdir -p bin
	go build $(BUILD) -o bin/ $(addprefix ./cmd/,$(BINARIES))

.PHONY: demo
demo: deps build ## Run three masters, a cache and a mount, and kill each process in turn. STORE=oss|s3|file
	@go run ./test/demo -bin bin -store $(STORE)

.PHONY: test
test: ## Run everything CI runs.
	@hack/test

.PHONY: test-full
test-full: ## Run every scenario, the long ones included, and print a table.
	@JINDO_LONG=1 hack/test

.PHONY: unit
unit: deps build ## Run the unit tests, those of concurrent packages under the race detector.
	go -C tools/image test ./...
	go -C test/e2e/cluster test . ./assets ./control ./machine ./node ./pki ./state
	go test -timeout $(if $(JINDO_LONG),60m,10m) $$(hack/packages plain unit)
	go test -race -timeout $(if $(JINDO_LONG),60m,10m) $$(hack/packages race unit)

.PHONY: processes
processes: deps build ## Run the tests that start processes, one package at a time.
	go test -timeout $(if $(JINDO_LONG),60m,15m) -p 1 $$(hack/packages plain processes)
	go test -race -timeout $(if $(JINDO_LONG),60m,15m) -p 1 $$(hack/packages race processes)

.PHONY: kube-test
kube-test: bin/cluster ## Run the controllers' tests against a kube-apiserver and etcd.
	KUBEBUILDER_ASSETS=$$(bin/cluster kube-assets) && export KUBEBUILDER_ASSETS && go test -race -timeout 15m -p 1 $(KUBE_TESTS)

.PHONY: e2e
e2e: ## Run the tests on Kubernetes: on the cluster of KUBECONFIG, or on a temporary one. FULL=1: the long ones too.
	@hack/e2e

.PHONY: mutants
mutants: deps ## Check that deliberately broken variants of the core are caught.
	go test -tags mutant -timeout 10m -run Mutant ./pkg/master/... ./pkg/cache/blockstore ./pkg/cache/client ./pkg/cache/transport ./pkg/cache/server ./pkg/netlimit/... ./pkg/owner ./pkg/kube/hostpath ./pkg/mount/fusefs ./pkg/mount/reader

.PHONY: fault
fault: deps build ## Run the fault table; with DURATION (10s, 5m, 1h) then random faults of a runtime, and of its masters, for so long each. SEED repeats them.
	go test -count=1 -timeout 0 -p 1 ./test/fault/... -args $(if $(DURATION),-duration $(DURATION)) $(if $(SEED),-seed $(SEED))
	$(if $(DURATION),@$(MAKE) --no-print-directory nemesis)

.PHONY: nemesis
nemesis: ## Inject random faults into three masters, also while their number changes, for DURATION (2m); commands and reads are checked. SEED repeats them.
	@NEMESIS=1 hack/deps
	JINDO_NEMESIS=$(or $(DURATION),2m) JINDO_SEED=$(SEED) go test -race -count=1 -timeout 0 -v -run '^TestNemesis$$' ./cmd/master

.PHONY: resize
resize: ## Change the number of masters 1 → 3 → 1 ROUNDS (100) times under commands and reads, and print failed requests and the worst stall.
	JINDO_ROUNDS=$(or $(ROUNDS),100) go test -race -count=1 -timeout 0 -v -run '^TestOneToThreeAndBackUnderLoad$$' ./cmd/master

.PHONY: bench
bench: build ## Measure ROW (warm, cold, small, … or all; docs/benchmarks.md lists them) with its peers; writes bench/results and docs/benchmarks.md.
	@PEERS=1 hack/deps
	go run ./test/bench -bin bin -row $(or $(ROW),warm) $(if $(REPETITIONS),-repetitions $(REPETITIONS))

.PHONY: bin/cluster
bin/cluster:
	@mkdir -p bin
	@go -C test/e2e/cluster build -buildvcs=false -o $(CURDIR)/bin/cluster .

.PHONY: cluster-up
cluster-up: bin/cluster ## Start Kubernetes on this machine and install Jindo (PRODUCT=0: without Jindo).
	@CLUSTER=1 hack/deps
	@bin/cluster up

.PHONY: cluster-down
cluster-down: bin/cluster ## Stop that cluster and remove everything it created.
	@bin/cluster down

.PHONY: cluster-load
cluster-load: bin/cluster ## Build our image again and import it into every node.
	@bin/cluster load

.PHONY: cluster-install
cluster-install: bin/cluster ## Apply the manifests to that cluster again, and wait.
	@bin/cluster install

.PHONY: images
images: ## Write our image for amd64 and arm64 as an OCI archive into dist/.
	@VERSION=$(VERSION) hack/images

.PHONY: krew
krew: ## Pack the plugin for every platform of krew into dist/, with a manifest that has their checksums.
	@go run ./krew -version $(VERSION) -out dist

.PHONY: kube-assets
kube-assets: bin/cluster ## Print a directory with etcd, kube-apiserver and kubectl for tests.
	@bin/cluster kube-assets

.PHONY: lint
lint: ## Lint with the pinned golangci-lint.
	go tool -modfile=tools/lint/go.mod golangci-lint run --allow-parallel-runners ./...

.PHONY: generate
generate: ## Regenerate all generated files.
	@hack/generate

.PHONY: generate-check
generate-check: ## Fail when a generated file is stale.
	@go mod tidy -diff
	@hack/generate
	@git diff --exit-code -- $$(cat hack/generated) || { echo "stale: run 'make generate' and commit the result"; exit 1; }

.PHONY: clean
clean: ## Remove build results.
	rm -rf bin dist bench/results
