# Two commands to know: `make run` tries the agent, `make test` proves it. Both install what they miss.
SHELL = /bin/sh
.SUFFIXES:

prefix = /usr
DESTDIR =
sysconfdir = /etc

python = .venv/bin/python
TESTS =
# Those that mostly wait: for members of etcd, for daemons, for processes that are killed.
waiting = $(wildcard $(addprefix tests/integration/test_*,etcd* engine* joining* killed* together* daemon* heartbeat*))
# So many at a time: one keeps a core busy, the others mostly wait. More of them would wait for each other.
lanes = $(shell expr $$(nproc) + 1)
measured = tests/with-tmp $(python) -m coverage run -m pytest -q
say = @printf '\n\033[1m== %s\033[0m\n'

.PHONY: help setup packages lock lint test test-unit test-system coverage bench soak run install man deb rpm check-packages etc clean

help:
	@echo 'make run           try the agent: on this machine when systemd runs it, else in a throw-away head'
	@echo 'make test          everything that CI runs: lint, unit, integration and system tests, coverage'
	@echo 'make test-unit     unit and integration tests only    (TESTS="tests/unit/x.py -k name" selects)'
	@echo 'make test-system   tests on booted heads only         (TESTS= as above)'
	@echo 'make lint          ruff, mypy, import-linter'
	@echo 'make bench         measurements, as ratios to their baselines'
	@echo 'make soak          many simulated heads, then live ones, in random faults (DAYS= HEADS= LOSS=, HOURS=, SEED=)'
	@echo 'make setup         install what all of these need'
	@echo 'make install       lay out the installed files (DESTDIR=, prefix=/usr)'
	@echo 'make deb, rpm      packages for Debian 12, for RHEL 9 and 10, in build/packages'
	@echo 'make check-packages    what lintian and rpmlint say of those'
	@echo 'make man           write the manual pages into build/man'
	@echo 'make etc, lock     write etc/head-agent.ini; pin the requirements anew'
	@echo 'make clean         remove what was built'

# --- What is needed: Debian packages as far as they are missing, then the pinned ones from PyPI ---------------------

setup: packages .venv/installed build/lib/installed build/kernel/vmlinuz build/promtool

packages:
	@packaging/install-missing packaging/debian-packages

# The distribution's gi, pydbus and systemd have to be seen; for everything else the lock file wins, which is why
# pip has to install also what the distribution has in an older version.
.venv/installed: packaging/requirements-dev.lock | packages
	$(say) 'Making the virtual environment'
	@test -x $(python) || /usr/bin/python3 -m venv --system-site-packages .venv
	@$(python) -m pip install --quiet --disable-pip-version-check --ignore-installed --no-deps --require-hashes \
	    --requirement packaging/requirements-dev.lock
	@touch $@

build/lib/installed: packaging/requirements.lock packaging/fetch-libraries | packages .venv/installed
	$(say) 'Fetching the libraries that are installed with the agent'
	@packaging/fetch-libraries build/lib --only-binary=:all: --require-hashes --requirement packaging/requirements.lock
	@touch $@

build/kernel/vmlinuz: | packages
	$(say) 'Fetching a kernel, for stores with real images'
	@packaging/fetch-kernel $@

build/promtool: | packages
	$(say) 'Fetching promtool, which checks metrics and alert rules'
	@packaging/fetch-promtool $@

lock:
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 pyproject.toml \
	    --output-file packaging/requirements.lock
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 pyproject.toml --extra dev \
	    --constraint packaging/requirements.lock --output-file packaging/requirements-dev.lock

# --- Proof -----------------------------------------------------------------------------------------------------------

lint: setup
	$(say) 'Lint: style, types, layers'
	@.venv/bin/ruff check --quiet agent tests
	@.venv/bin/ruff format --quiet --check agent tests || { .venv/bin/ruff format --check agent tests; exit 1; }
	@.venv/bin/mypy
	@.venv/bin/lint-imports | tail -n 3

test: lint
	@rm -rf .coverage .coverage.* build/coverage
	@HEADS_COVERAGE=$(CURDIR)/build/coverage COVERAGE_CORE=ctrace tests/side-by-side $(lanes) \
	    'Unit and integration tests' '$(measured) tests/unit $(filter-out $(waiting),$(wildcard tests/integration/test_*.py))' \
	    'System tests: a booted head' \
	        '$(measured) tests/system --ignore=tests/system/cluster --ignore=tests/system/packages' \
	    'System tests: clusters of booted heads' '$(measured) tests/system/cluster' \
	    'Integration tests that wait for etcd and daemons' '$(measured) $(sort $(waiting))' \
	    'System tests: packages, and two versions in one cluster' \
	        'tests/with-tmp $(python) -m pytest -q tests/system/packages'
	@$(MAKE) --no-print-directory coverage

coverage:
	$(say) 'Coverage of agent/, the daemons on the heads included'
	@$(python) -m coverage combine --quiet . build/coverage
	@$(python) -m coverage report

test-unit: setup
	@tests/with-tmp $(python) -m pytest -q $${TESTS:-tests/unit tests/integration}

test-system: setup
	@tests/with-tmp $(python) -m pytest -q $${TESTS:-tests/system}

bench: setup
	@for bench in tests/bench/*.py; do \
	    name=$${bench#tests/bench/}; name=$${name%.py}; \
	    printf '\n\033[1m== %s\033[0m\n' "$$name"; $(python) -m "tests.bench.$$name" || exit 1; \
	done

# Ends at the first thing that must never happen, saying the seed that brings it about.
soak: setup
	$(say) 'Simulated heads'
	@$(python) -m tests.simulator --days $${DAYS:-1000} --heads $${HEADS:-15} --loss $${LOSS:-0.1} $${SEED:+--seed $$SEED}
	$(say) 'Live heads'
	@$(python) -m tests.soak.live --hours $${HOURS:-0.25} $${SEED:+--seed $$SEED}
	$(say) 'Live heads that are killed while heads come and go'
	@$(python) -m tests.soak.moves --hours $${HOURS:-0.25} $${SEED:+--seed $$SEED}
	$(say) 'Changes of engine, killed at every step'
	@tests/with-tmp $(python) -m tests.soak.engines

run: setup
	@exec $(python) -m tests.system.demo

# --- Installed files -------------------------------------------------------------------------------------------------

# Compiled here, as the unit's sandbox could not write the compiled files later.
install: build/lib/installed man
	@prefix='$(prefix)' sysconfdir='$(sysconfdir)' packaging/install . '$(DESTDIR)'
	@/usr/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
	    -s '$(DESTDIR)' -p / '$(DESTDIR)$(prefix)/lib/clusterware-head-agent'

# From the programs' own arguments and tables; packaging/install takes them from there.
man:
	@SOURCE_DATE_EPOCH=$$(packaging/epoch .) /usr/bin/python3 -B packaging/man/pages.py build/man

# Any tree can be packaged: packaging/deb/build SOURCE OUTPUT.
deb: build/lib/installed man
	@packaging/deb/build . build/packages

# A source package that needs no network, and what is built from it for RHEL 9 and 10.
rpm: .venv/installed man
	@packaging/install-missing packaging/rpm/debian-packages
	@packaging/rpm/build . build/packages

check-packages: deb
	@packaging/install-missing packaging/check-packages
	@packaging/check build/packages

etc: setup
	@$(python) -c 'from agent.config.sections import template; print(*template(), sep="\n")' > etc/head-agent.ini.new
	@mv etc/head-agent.ini.new etc/head-agent.ini

clean:
	@rm -rf build .venv .coverage .coverage.* .mypy_cache .ruff_cache .import_linter_cache .hypothesis
