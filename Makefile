# Every target is a thin line over scripts/; `make help` lists them.
# What is missing on Debian or Raspberry Pi OS is installed with apt first (through sudo unless you are root), and said.

.DEFAULT_GOAL := help
.PHONY: help demo build install uninstall deb test ecosystem-test lint cross-test cross-podman vm-test training-test ci

# Where `make install` puts things; packagers set DESTDIR too.
PREFIX ?= /usr/local
DESTDIR ?=
# The tests run on what the release profile has built already, with our own code's assertions and overflow checks added.
CHECKED = --config 'profile.release.package.vigie.debug-assertions=true' \
  --config 'profile.release.package.vigie.overflow-checks=true'
# What `make deb` makes: amd64, arm64.
ARCH ?= amd64 arm64

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## photographs through the whole pipeline and out of a broker; needs no camera, no broker
	@scripts/packages.sh build
	cargo build --profile demo --locked
	@cargo run --quiet --profile demo --locked -- demo

build: ## the release binary, target/release/vigie (or where CARGO_TARGET_DIR says)
	@scripts/packages.sh build
	cargo build --release --locked

install: ## binary, model, service, manual: after `make build`, as root; DESTDIR and PREFIX (/usr/local) are honoured
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh install

uninstall: ## takes away what `make install` put there; your configuration stays
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh uninstall

deb: ## Debian packages for amd64 and arm64 (ARCH=arm64: only that), in target/debian
	@scripts/deb.sh $(ARCH)

test: ## all tests on this machine, real mosquitto included
	@scripts/packages.sh build test
	cargo test --release --locked $(CHECKED)

ecosystem-test: ## Home Assistant, Node-RED and a Python subscriber beside the daemon, each for real (some 700 MB, once)
	@scripts/packages.sh build test
	@tests/ecosystem/run.sh

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

ci: ## what continuous integration runs: .ci/run
	@.ci/run
