# make demo    set up and run the main job          make test    set up and run every test
# make check   format, lint, types                  make bench   every figure that has a bar, against it
# make soak    maps written and read by several processes for a minute (SECONDS=...)
# make fuzz    the three parts below, one after the other: hours; each runs by itself as well (SEED=...)
#   make fuzz-csmith      300 random programs: Skep's result against the system compiler's
#   make fuzz-mutations   100,000 damaged texts against the compiler
#   make fuzz-bytecode    random bytecode against the user engine
#
# PYTHON=...  the interpreter to build the environment with (3.11 or newer; found on PATH otherwise)
# VENV=...    where the environment goes: .venv here, or the user's cache folder when this folder cannot be written

SHELL := /bin/sh
VENV ?= $(shell if [ -w . ]; then echo .venv; else echo "$${XDG_CACHE_HOME:-$$HOME/.cache}/skep/venv-$$(pwd | cksum | cut -d" " -f1)"; fi)
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test check bench soak fuzz fuzz-csmith fuzz-mutations fuzz-bytecode
demo: $(VENV)/installed
	@$(BIN)/skep demo

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -p no:cacheprovider $(ARGS)

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src

# The bars are ratios to clang-19, BCC, bpftool, strace or a loop in the same run; a machine with other work to do misses some.
BENCHES ?= startup compile codegen engine events maps map_operations trace_overhead
bench: $(VENV)/installed
	@missed=; for one in $(BENCHES); do \
	  echo "== bench/$$one.py"; $(BIN)/python bench/$$one.py || missed="$$missed $$one"; done; \
	  if [ -n "$$missed" ]; then echo "make: not at their bars:$$missed" >&2; exit 1; fi

SECONDS ?= 60
soak: $(VENV)/installed
	$(BIN)/python tests/soak/maps.py --seconds $(SECONDS)

# SEED=... makes other programs; what goes wrong is kept in fuzz-found/.
SEED ?= 1
fuzz: fuzz-csmith fuzz-mutations fuzz-bytecode

fuzz-csmith: $(VENV)/installed
	$(BIN)/python tests/compiler/fuzz_csmith.py -n 300 --seed $(SEED) --keep fuzz-found

fuzz-mutations: $(VENV)/installed
	$(BIN)/python tests/compiler/mutations.py -n 100000 --seed $(SEED) --keep fuzz-found

fuzz-bytecode: $(VENV)/installed
	$(BIN)/python tests/engine/user/fuzz_bytecode.py -n 1000000 --level 0 --seed $(SEED) --keep fuzz-found
	$(BIN)/python tests/engine/user/fuzz_bytecode.py -n 30000 --level 2 --seed $(SEED) --keep fuzz-found

# Reinstalled when pyproject.toml changes; the sources themselves are used from where they are.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/pip
	@echo "installing Skep into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/pip
	@echo "installing Skep and its development tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/installed

# `import ensurepip` is what Debian's python3 lacks without the package python3-venv.
$(VENV)/bin/pip:
	@mkdir -p "$(VENV)" 2>/dev/null && [ -w "$(VENV)" ] || { \
	  echo "make: cannot write $(VENV): say where the environment may go, for example: make $(MAKECMDGOALS) VENV=/tmp/skep-venv" >&2; exit 1; }
	@found=; for python in $(if $(PYTHON),'$(PYTHON)',python3.11 python3.12 python3.13 python3.14 python3); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  "$$python" -c 'import venv, ensurepip' >/dev/null 2>&1 || { bare="$$bare $$python"; continue; }; \
	  found=$$python; break; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	  echo "make:$$bare cannot make a virtual environment (no module ensurepip): install it (Debian: apt-get install python3-venv)" >&2; exit 1; fi; \
	if [ -z "$$found" ]; then \
	  echo "make: no $(if $(PYTHON),usable Python 3.11 or newer at $(PYTHON),Python 3.11 or newer on PATH; PYTHON=... names one)" >&2; exit 1; fi; \
	echo "making $(VENV) with $$found ..."; "$$found" -m venv "$(VENV)"
