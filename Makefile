# Bare `make` explains itself.
PYTHON ?= python3
PORT ?= 12345
ARGS ?=
DEBIAN_PEERS = chromium nghttp h2load curl
NODE_PEERS = @grpc/grpc-js@1.14.7 @grpc/proto-loader@0.8.1

.PHONY: help demo test soak lint proto debian clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv/installed ## set up .venv, serve the search example on port 12345, fill it, say how to ask it
	@.venv/bin/python examples/search/demo.py $(PORT)

test: debian .venv/tools .venv/peers lint ## set up what the tests need, and run everything; ARGS=tests/codec runs less of the tests
	.venv/bin/pytest $(ARGS)

soak: .venv/tools ## some minutes of fuzzing and floods, bounded; no part of the tests
	HYPOTHESIS_PROFILE=long .venv/bin/pytest --timeout=900 tests/codec tests/document tests/attack/test_decoders.py \
	  tests/gateway/websocket/test_gateway.py tests/gateway/http/test_lane.py tests/gateway/grpc/test_lane.py tests/wire
	PYTHONPATH=. FLOOD_SECONDS=10 .venv/bin/python -m tests.attack.test_floods
	if .venv/bin/pip install -q atheris; then PYTHONPATH=. FUZZ_SECONDS=180 .venv/bin/python -m tests.attack.fuzz; fi

lint: .venv/tools ## ruff and mypy alone
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

proto: .venv/tools ## compile proto/ to the descriptors that the package carries
	.venv/bin/python -m grpc_tools.protoc -Iproto --include_imports \
	  --descriptor_set_out=twisted_flow/document/protobuf/proto.binpb $$(cd proto && find . -name '*.proto' -printf '%P\n' | sort)

debian:
	@for each in $(DEBIAN_PEERS); do command -v $$each >/dev/null || missing=yes; done; \
	[ -z "$$missing" ] || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get update -q \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -qy chromium nghttp2-client curl; } \
	  || echo "not all of $(DEBIAN_PEERS) can be installed: tests that need them will say so"

.venv/peers: .venv/bin/pip
	@mkdir -p $@ && { npm install --silent --no-audit --no-fund --prefix $@ $(NODE_PEERS); } \
	  || echo "npm cannot install $(NODE_PEERS): tests that need them will say so"

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; make PYTHON=... names one" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/pip setup.py constraints.txt
	.venv/bin/pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/tools: .venv/bin/pip setup.py constraints.txt
	.venv/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ .venv/installed

clean: ## remove what the others made
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
