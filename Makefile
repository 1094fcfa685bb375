# make help shows what there is. dev, tour, build and test need Go alone; generate, lint and check build their tools from tools/;
# test-docs needs Node and Python besides, test-aws, aws-local and what begins with infra need Java, Maven, Node and Python besides, and say so.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules
.DEFAULT_GOAL := help

GO        ?= go
BUF       := $(GO) tool -modfile=tools/go.mod buf
LINTER    := $(GO) tool -modfile=tools/lint/go.mod golangci-lint
DATA      ?= .domicile
PORT      ?= 8080
ARCH      ?= arm64
PACKAGES  ?= ./...
FUZZTIME  ?= 30s
BENCHTIME ?= 1s
# Of make bench-peers.
CADDY     ?= v2.11.9

# The race detector needs a C compiler on Linux; a machine without one tests without it.
RACE := $(shell command -v "$$($(GO) env CC)" >/dev/null 2>&1 && [ "$$($(GO) env CGO_ENABLED)" = 1 ] && echo -race)

.PHONY: help dev tour build functions test test-short test-contract test-new test-safeguards test-aws test-typescript test-docs test-all aws-local aws-local-stop infra-synth infra-diff infra-deploy lint lint-infra generate openapi check check-generated check-breaking check-parity check-modules portal-assets check-portal-assets bench bench-peers bench-all fuzz clean

help: ## show this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: ## six regions in one process, with demonstration tenants (PORT=8080, DATA=.domicile)
	$(GO) run ./cmd/domicile dev --data $(DATA) --port-base $(PORT)

tour: ## a narrated script against a running dev; starts one if there is none
	$(GO) run ./cmd/domicile tour --data $(DATA) --port-base $(PORT)

build: ## bin/domicile
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/domicile ./cmd/domicile

functions: ## bin/functions/*/bootstrap, the functions as AWS Lambda runs them (ARCH=arm64 or amd64)
	@for f in edge relay apply sweep; do \
		echo "bin/functions/$$f/bootstrap"; \
		CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) $(GO) build -tags lambda.norpc -trimpath -ldflags '-s -w' -o bin/functions/$$f/bootstrap ./functions/$$f; \
	done

aws-local: ## the same platform on AWS's services, emulated on this machine: LocalStack, the stacks of infra/, the real functions
	DATA=$(DATA) infra/local/aws-local.sh start

aws-local-stop: ## end it
	DATA=$(DATA) infra/local/aws-local.sh stop

infra-synth: ## the CloudFormation templates of the deployment that infra/cdk.json describes, into infra/cdk.out
	infra/scripts/synth.sh $(INFRAFLAGS)

infra-diff: ## what infra-deploy would change
	infra/scripts/diff.sh $(INFRAFLAGS)

infra-deploy: ## deploy to AWS; see docs/guides/deploy-aws.md (INFRAFLAGS="-c domicile:domain=api.example.com …")
	infra/scripts/deploy.sh $(INFRAFLAGS)

test: ## all tests, with the race detector where there is a C compiler
	$(GO) test $(RACE) -shuffle=on -timeout 15m $(PACKAGES)

test-short: ## the tests that take seconds
	$(GO) test -short $(PACKAGES)

test-contract: ## other programs as clients: grpcurl, buf curl, the Connect conformance suite
	$(if $(wildcard test/contract/*.go),$(GO) test -tags contract -count=1 -timeout 20m ./test/contract/...,@echo "there is no test/contract")

test-new: ## a product of domicile new: runs, passes its own CI, builds its functions and deployment
	$(GO) test -tags product -count=1 -timeout 30m -run '^TestMakeANewProduct$$|^TestNewProductOnAPublishedVersion$$' -v ./test

test-aws: ## the AWS adapters, the platform on AWS and the stacks of infra/, on LocalStack; installs it into the cache folder
	infra/local/test-aws.sh

test-typescript: ## the TypeScript client: its types, its lint, its tests against failing servers and against a dev of its own; needs Node 20
	cd client/typescript && npm ci --no-audit --no-fund && npm run generate:check && GO="$(GO)" npm run generate:test && npm run lint && GO="$(GO)" npm run test:all

test-docs: ## the documents with linters, a fuzzer and generated clients, the portal in Chromium (SHOTS=bin/docs: pictures of all pages); needs Node and Python
	test/docs/test-docs.sh

test-all: test test-aws ## both

test-safeguards: ## the scenarios with one safeguard after the other switched off, in a test build: each must be missed
	$(GO) test -tags scenario_unsafe -count=1 -run '^TestSafeguards$$' -v ./test/scenarios

lint: ## golangci-lint with everything on, and buf lint with the residency check
	$(LINTER) run $(PACKAGES)
	$(BUF) lint

lint-infra: ## golangci-lint over infra/, cfn-lint and checkov over its templates, hadolint over the Dockerfile
	cd infra && $(GO) tool -modfile=../tools/lint/go.mod golangci-lint run --config ../.golangci.yml ./...
	infra/scripts/lint.sh

generate: ## what is made from proto/: projections in it, gen/, the messages of tests, docs/errors.md
	$(GO) run ./cmd/domicile generate --projections-only proto
	$(BUF) generate
	$(BUF) generate --template internal/residency/internal/testpb/buf.gen.yaml
	$(GO) run ./internal/errordoc

openapi: ## openapi/: the documents of the API, from proto/ and openapi/overlay.yaml
	$(GO) run ./cmd/domicile openapi --import third_party/protovalidate,third_party/googleapis
	$(GO) run ./cmd/domicile api changelog --write

portal-assets: # the portal's reference UI anew from npm
	internal/portal/vendored/fetch.sh

check-portal-assets: # the portal's reference UI is what npm has under its version
	internal/portal/vendored/fetch.sh --check

check: check-generated check-breaking check-parity check-modules lint ## all that a change must pass besides the tests
	@unformatted="$$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l)"; \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) test -count=1 ./internal/archtest

check-generated: # what is generated is what the contracts say now
	@tmp="$$(mktemp -d)"; trap 'rm -rf "$$tmp"' EXIT; \
	echo "generating anew, to compare"; \
	$(BUF) generate -o "$$tmp"; \
	$(BUF) generate --template internal/residency/internal/testpb/buf.gen.yaml -o "$$tmp"; \
	$(GO) run ./internal/errordoc -o "$$tmp/errors.md"; \
	$(GO) run ./cmd/domicile openapi --import third_party/protovalidate,third_party/googleapis --overlay openapi/overlay.yaml --out "$$tmp/openapi"; \
	diff -r gen "$$tmp/gen" && \
	diff internal/residency/internal/testpb/testpb.pb.go "$$tmp/internal/residency/internal/testpb/testpb.pb.go" && \
	diff -r openapi/v1 "$$tmp/openapi/v1" && \
	diff docs/errors.md "$$tmp/errors.md" && \
	$(GO) run ./cmd/domicile generate --check || { echo "run: make generate openapi"; exit 1; }

check-breaking: # no contract is broken, and no class loosened, since the parent commit and since the last release
	@if git cat-file -e HEAD~1:buf.yaml 2>/dev/null; then \
		echo "buf breaking against the parent commit"; $(BUF) breaking --against '.git#ref=HEAD~1'; \
	else echo "buf breaking: skipped, HEAD has no parent with contracts here"; fi
	@tag="$$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || true)"; \
	if [ -n "$$tag" ]; then echo "buf breaking against $$tag"; $(BUF) breaking --against ".git#tag=$$tag"; fi

check-parity: # the regions' documents are alike but for declared reasons, and the changelog is what the documents say
	$(GO) run ./cmd/domicile api parity openapi/v1
	$(GO) run ./cmd/domicile api changelog --check
	@for tag in $$(git tag --list 'v[0-9]*'); do \
		[ -d "openapi/releases/$$tag" ] || { echo "tag $$tag has no openapi/releases/$$tag; see domicile api changelog --help"; exit 1; }; \
	done

check-modules: # go.mod and go.sum say what the code needs, and the modules are what they were
	@for dir in . infra tools tools/lint tools/grpcurl test/conformance test/docs/documents/goclient; do echo "go mod tidy -diff in $$dir"; (cd "$$dir" && $(GO) mod tidy -diff); done
	$(GO) mod verify

bench: ## one table of speed: bounds, raw Pebble, a plain proxy on AWS (5 to 6 minutes; BENCHFLAGS="-rounds 3")
	$(GO) run ./test/bench $(BENCHFLAGS)

bench-peers: # bench with Caddy beside the edge, built into bin/
	GOBIN=$(CURDIR)/bin $(GO) install github.com/caddyserver/caddy/v2/cmd/caddy@$(CADDY)
	$(GO) run ./test/bench -go-rounds 0 -caddy $(CURDIR)/bin/caddy $(BENCHFLAGS)

bench-all: # every Go benchmark of the packages, with allocations (BENCHTIME=1s)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -timeout 60m $(PACKAGES)

fuzz: ## each fuzz target, and the scenarios with new seeds, for a while (FUZZTIME=30s)
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | while IFS=: read -r file func; do \
		echo "== $$(dirname "$$file") $${func#func }"; \
		$(GO) test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
	done
	@echo "== test/scenarios, new seeds"
	$(GO) test -count=1 -run '^TestScenarios$$' ./test/scenarios -for $(FUZZTIME)

clean: ## remove bin/, coverage and the data of make dev
	rm -rf bin coverage $(DATA)
