# Every target is a thin line over scripts/; `make help` lists them.
# What is missing on Debian or Raspberry Pi OS is installed with apt first (through sudo unless you are root), and said.

.DEFAULT_GOAL := help
.PHONY: help demo build test lint cross-test cross-podman vm-test training-test packages ci

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## photographs through the whole pipeline and out of a broker; needs no camera, no broker
	target/release/vigie demo

build: ## the release binary, target/release/vigie
	@scripts/packages.sh build
	cargo build --release --locked

test: ## all tests on this machine, real mosquitto included
	@scripts/packages.sh build test
	cargo test --locked

lint: ## formatting, clippy, licences and advisories of the dependencies
	@scripts/lint.sh

cross-test: ## the tests for aarch64, run under QEMU's user mode
	@scripts/cross-test.sh

cross-podman: ## the same through the program `cross`, in a podman container made here
	@scripts/cross-podman.sh

vm-test: ## the binary on a virtual ARM board: systemd, V4L2 cameras, mosquitto
	@tests/vm/run.sh

training-test: ## the Python side (training/), where there is one
	@scripts/training-test.sh

ci: ## what continuous integration runs: all of the above
	@.ci/run
