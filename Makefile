# Portcullis: the four commands of every day. CONTRIBUTING.md says what each is for.
SHELL := /bin/bash
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)
CFG ?= examples/quickstart.cfg

.PHONY: help run build release test real-servers lint fmt peers clients storm screenshots conformance attacks messages bench profile soak bigconf interop ktls fuzz clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

run: build ## build and start examples/quickstart.cfg (or CFG=file) in the foreground; then: curl localhost:8080
	$(TARGET)/quick/portcullis -db -f $(CFG)

build: ## build quickly, nearly as fast as a release: $(TARGET)/quick/portcullis
	cargo build --locked --profile quick -p portcullis

release: ## the binary to ship and to measure: $(TARGET)/release/portcullis
	cargo build --locked --release -p portcullis

test: ## every test: unit tests of all rooms, then the real binary end to end, compared with Debian's haproxy
	@scripts/need haproxy nginx-light wrk nghttp2-client dnsmasq-base openssl socat python3 curl pebble strace
	@scripts/test $(TESTARGS)

real-servers: build ## the checks of PostgreSQL, MariaDB, Redis, SMTP and LDAP against the real programs (root; 300 MB of packages once)
	@scripts/need postgresql mariadb-server redis-server slapd postfix python3
	scripts/real-servers $(TARGET)/quick/portcullis

lint: ## formatting, clippy without warnings, fuzz targets that compile, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@# they are not linked: libFuzzer need not be there
	CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a cargo check --manifest-path fuzz/Cargo.toml --target-dir $(TARGET)
	@scripts/cargo-deny check bans licenses sources

fmt: ## format everything
	cargo fmt --all

peers: build ## other people's HTTP/2 against our binary: curl, nghttp2, nginx, Chromium, Python's h2, httpx and grpcio (PEERSARGS="--only grpc")
	@scripts/need chromium curl nginx-light nghttp2-client openssl python3-venv
	@test -x $(TARGET)/peers/bin/python || (python3 -m venv $(TARGET)/peers && $(TARGET)/peers/bin/pip install -q 'h2==4.*' 'httpx[http2]==0.28.*' 'grpcio==1.*' 'wsproto==1.*')
	$(TARGET)/peers/bin/python scripts/peers/peers.py --binary $(TARGET)/quick/portcullis $(PEERSARGS)

clients: build ## clients of HAProxy's stats socket and exporter (haproxyadmin, haproxy-stats, Prometheus, collectd's CSV, hatop, socat), compared with haproxy (CLIENTARGS="--only hatop")
	@scripts/need haproxy hatop tmux socat python3-venv
	@test -x $(TARGET)/clients/bin/python || (python3 -m venv $(TARGET)/clients && $(TARGET)/clients/bin/pip install -q 'haproxyadmin==0.2.*' 'haproxy-stats==1.*' 'prometheus_client==0.*')
	$(TARGET)/clients/bin/python scripts/clients/clients.py --binary $(TARGET)/quick/portcullis $(CLIENTARGS)

storm: build ## 1,000 reloads in five minutes in place and by the master, 200 by -sf -x, 50 in turn with haproxy, under 2,000 requests a second (STORMARGS="storm::in_place")
	@scripts/need haproxy openssl
	E2E_STORM=1000 E2E_STORM_SECS=300 E2E_STORM_RATE=2000 PORTCULLIS_BIN=$(abspath $(TARGET))/quick/portcullis \
	    cargo test --locked -p portcullis-e2e --test all -- $(or $(STORMARGS),storm::) --nocapture --test-threads 1

screenshots: build ## the statistics page in headless Chromium at a desktop's and a phone's width: $(TARGET)/screenshots
	@scripts/need chromium python3
	scripts/screenshots --binary $(TARGET)/quick/portcullis --to $(TARGET)/screenshots

conformance: build ## what RFC 9113 and RFC 7541 ask of a server, over the wire, haproxy's and nginx's answers beside (CONFARGS="--all")
	@scripts/need haproxy nginx-light
	python3 scripts/peers/conformance.py --binary $(TARGET)/quick/portcullis $(CONFARGS)
	python3 scripts/peers/origins.py --binary $(TARGET)/quick/portcullis $(CONFARGS)

attacks: release ## what attacks over HTTP/2 cost, beside haproxy on the same attack (ATTACKARGS="--only ping,settings")
	@scripts/need haproxy nginx-light
	python3 bench/attacks.py --binary $(TARGET)/release/portcullis $(ATTACKARGS)

messages: release ## gRPC messages a CPU second, beside haproxy (after `make peers`, whose Python packages it uses)
	@scripts/need haproxy nghttp2-client nghttp2-server
	$(TARGET)/peers/bin/python bench/messages.py --binary $(TARGET)/release/portcullis $(MESSAGESARGS)

bench: release ## CPU, memory and latency against haproxy and nginx, in turns (BENCHARGS="--rows h1-64 --rounds 2 --secs 1")
	@scripts/need haproxy nginx-light wrk nghttp2-client python3
	python3 bench/bench.py --binary $(TARGET)/release/portcullis $(BENCHARGS)

profile: ## the profile that releases are optimized by, from what a release does under load: pgo/ (after changes to the message path)
	@scripts/need nginx-light wrk nghttp2-client openssl python3 llvm-22
	python3 bench/profile.py --target $(TARGET) $(PROFILEARGS)

soak: release ## ten minutes of full load with clients that reset, stall and half-close (SOAKARGS="--secs 60")
	@scripts/need nginx-light python3
	python3 bench/soak.py --binary $(TARGET)/release/portcullis $(SOAKARGS)

bigconf: release ## 10,000 backends of 5 servers: time and memory of -c, against haproxy
	@scripts/need haproxy python3
	python3 bench/bigconf.py --binary $(TARGET)/release/portcullis $(BIGARGS)

interop: build ## TLS with curl, openssl, GnuTLS, Python, Java, Chromium and haproxy, mutual TLS as haproxy judges it, testssl.sh (INTEROPARGS="--only java", TESTSSL=its path)
	@scripts/need curl openssl gnutls-bin python3 default-jdk-headless chromium haproxy testssl.sh
	scripts/interop --testssl $(INTEROPARGS) $(TARGET)/quick/portcullis

ktls: build ## TLS records made by the kernel (`ktls on`), in a virtual machine with Debian's kernel
	@scripts/need qemu-system-x86 busybox-static cpio kmod curl openssl
	scripts/ktls-vm $(TARGET)/ktls $(TARGET)/quick/portcullis "$$(cargo test --locked -p portcullis-e2e --test all --no-run --message-format json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*all-[^"]*\)".*/\1/p' | tail -1)" $(KTLSARGS)

fuzz: ## each fuzz target (configuration, HTTP/1, HTTP/2, HPACK, PROXY protocol, CIP, Runtime API, samples, patterns, normalizers, TLS, crt-lists, PEM, OCSP, ACME, statistics, master CLI, handover, cookies, DNS, SMTP, syslog, trace contexts) for a minute (FUZZARGS="--secs 10 http1")
	@scripts/need g++
	scripts/fuzz $(FUZZARGS)

clean: ## forget everything that was built
	cargo clean
