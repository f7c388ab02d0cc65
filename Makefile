# Every target installs what it needs and is missing. The work itself stands in .ci/, one script each.
.DEFAULT_GOAL := help
.PHONY: help run up down test bench fmt lint audit doc

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

run: ## Build, and start every sample agent on this machine; no server and no key needed
	@.ci/tools compiler
	@cargo run --bin greenroom -- up

up: ## Start the whole cluster in containers: broker, database, cache and a node for each role
	@.ci/up

down: ## Stop the cluster's containers; what they keep stays
	@docker compose -f deploy/compose.yaml down

test: ## Everything that must hold before a change goes in
	@.ci/test

bench: ## Measure start-up, memory and the cost of an execution
	@.ci/tools compiler
	@cargo bench --package greenroom-tests

fmt: ## Format the code
	@cargo fmt --all

lint: ## Format check and clippy, warnings denied
	@.ci/tools compiler components
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings

audit: ## Licences, sources, bans and known vulnerabilities of the dependencies
	@.ci/audit

doc: ## Build the documentation, warnings denied
	@.ci/tools compiler
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
