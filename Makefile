# Portcullis: the four commands of every day. CONTRIBUTING.md says what each is for.
SHELL := /bin/bash
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)
CFG ?= examples/quickstart.cfg

.PHONY: help run build release test real-servers lint fmt bench soak bigconf fuzz clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

run: build ## build and start examples/quickstart.cfg (or CFG=file) in the foreground; then: curl localhost:8080
	$(TARGET)/quick/portcullis -db -f $(CFG)

build: ## build quickly, nearly as fast as a release: $(TARGET)/quick/portcullis
	cargo build --locked --profile quick -p portcullis

release: ## the binary to ship and to measure: $(TARGET)/release/portcullis
	cargo build --locked --release -p portcullis

test: ## every test: unit tests of all rooms, then the real binary end to end, compared with Debian's haproxy
	@scripts/need haproxy nginx-light wrk nghttp2-client dnsmasq-base openssl socat python3
	@scripts/test $(TESTARGS)

real-servers: build ## the checks of PostgreSQL, MariaDB, Redis, SMTP and LDAP against the real programs (root; 300 MB of packages once)
	@scripts/need postgresql mariadb-server redis-server slapd postfix python3
	scripts/real-servers $(TARGET)/quick/portcullis

lint: ## formatting, clippy without warnings, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@scripts/cargo-deny check bans licenses sources

fmt: ## format everything
	cargo fmt --all

bench: release ## CPU, memory and latency against haproxy and nginx, in turns (BENCHARGS="--rows h1-64 --rounds 2 --secs 1")
	@scripts/need haproxy nginx-light wrk nghttp2-client python3
	python3 bench/bench.py --binary $(TARGET)/release/portcullis $(BENCHARGS)

soak: release ## ten minutes of full load with clients that reset, stall and half-close (SOAKARGS="--secs 60")
	@scripts/need nginx-light python3
	python3 bench/soak.py --binary $(TARGET)/release/portcullis $(SOAKARGS)

bigconf: release ## 10,000 backends of 5 servers: time and memory of -c, against haproxy
	@scripts/need haproxy python3
	python3 bench/bigconf.py --binary $(TARGET)/release/portcullis $(BIGARGS)

fuzz: ## each fuzz target (configuration, HTTP/1, HTTP/2, HPACK, PROXY protocol, CIP, Runtime API, samples, patterns, normalizers, TLS, crt-lists, PEM, statistics, master CLI, handover, cookies, DNS, SMTP) for a minute (FUZZARGS="--secs 10 http1")
	@scripts/need g++
	scripts/fuzz $(FUZZARGS)

clean: ## forget everything that was built
	cargo clean
