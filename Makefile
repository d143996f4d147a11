# What people type. `make` alone prints this list; the recipes only call programs that can be called by hand.

TRIPLE  := x86_64-unknown-linux-gnu
RELEASE := target/$(TRIPLE)/release
CARGO   := cargo
# cargo-deny from the machine if it has one, else our own copy.
DENY    := $(or $(shell command -v cargo-deny),target/tools/bin/cargo-deny)
DENY_VERSION := 0.20.2

# The authorities that the ramdisk believes when it fetches images over HTTPS: this machine's.
CA_BUNDLE := etc/ssl/certs/ca-certificates.crt
CA_FILE   := $(addprefix --file $(CA_BUNDLE)=,$(wildcard /$(CA_BUNDLE)))

.DEFAULT_GOAL := help
.PHONY: help deps binaries dist images demo test check unit deny bench-image bench-erase bench-inventory clean

help: ## print this list
	@echo "Billet turns bare metal into running machines, and back."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: dist images ## the whole story on two virtual servers: boot, inspect, deploy, run, reclaim, erase
	$(RELEASE)/billet-lab demo --billetd dist/billetd --agent dist/billet-agent --ramdisk dist/ramdisk-vm \
		--images target/images --out target/demo

test: dist check unit deny ## every test, boots and erases in QEMU among them
	@echo "make test: all green"

dist: binaries ## build dist/: billet-agent, billetd, billet-image and both ramdisks
	dist/billet-image ramdisk --agent dist/billet-agent --profile full $(CA_FILE) --out dist/ramdisk
	dist/billet-image ramdisk --agent dist/billet-agent --profile vm $(CA_FILE) --out dist/ramdisk-vm

binaries: deps
	$(CARGO) build --locked --profile dist -p agent
	$(CARGO) build --locked --release -p control-plane -p image-builder -p lab
	@mkdir -p dist
	install -m 755 target/$(TRIPLE)/dist/billet-agent $(RELEASE)/billetd $(RELEASE)/billet-image dist/

images: binaries ## build the demo's Debian image (cached in target/)
	dist/billet-image debian --out target/images

check: deps ## formatting and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

unit: dist ## the tests of every crate and across crates, boots and erases among them
	$(CARGO) test --locked --workspace

deny: $(DENY) ## licences, banned and duplicate crates, advisories where they can be fetched
	$(DENY) --locked check licenses bans sources
	@$(DENY) --locked check advisories || \
		{ git ls-remote -q https://github.com/RustSec/advisory-db >/dev/null 2>&1 && exit 1; \
		  echo "make deny: the advisory database cannot be reached from here: advisories NOT checked"; }

target/tools/bin/cargo-deny:
	$(CARGO) install --locked --target-dir target/tools/build --root target/tools cargo-deny@$(DENY_VERSION)

bench-image: binaries ## our write of an image against everybody's, as root (BENCH="--quick", "--commit", "--formats raw.zst")
	@scripts/install-deps.sh bench
	$(CARGO) build --locked --release -p bench
	$(RELEASE)/billet-bench image $(BENCH)

bench-erase: binaries ## our erase of one and of eight loop devices against everybody's, as root (BENCH="--quick", "--commit")
	@scripts/install-deps.sh bench
	$(CARGO) build --locked --release -p bench
	$(RELEASE)/billet-bench erase $(BENCH)

bench-inventory: binaries ## our inventory of a recorded server and of this host against lshw and the like, as root (BENCH="--commit")
	@scripts/install-deps.sh bench
	$(CARGO) build --locked --release -p bench
	$(RELEASE)/billet-bench inventory $(BENCH)

deps: ## install the Debian packages that are missing
	@scripts/install-deps.sh

clean: ## remove what was built
	rm -rf target dist
