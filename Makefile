# Every target sets up what it needs: `make demo` and `make test` work on a fresh clone.
.PHONY: demo test test-full chaos lint bench docs lock clean
.DEFAULT_GOAL := demo
PY = .venv/bin/python

demo:
	@sh .ci/venv core
	@$(PY) -m hub demo

# three on two CPUs, because many tests wait for processes; files in order: by default those of many tests are run first, and
# the long ones of few tests end alone
test:
	@sh .ci/venv dev
	@$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-full:
	@sh .ci/venv dev
	@HUB_TEST_FULL=1 $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

chaos:
	@sh .ci/venv dev
	@HUB_TEST_FULL=1 $(PY) -m pytest -s tests/system/test_chaos.py

lint:
	@sh .ci/venv dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-cache

bench:
	@sh .ci/venv dev
	@$(PY) -m tests.benchmarks

docs:
	@sh .ci/venv core
	@$(PY) -m hub docs

# needs uv; the locks hold hashes and no address
lock:
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make lock' pyproject.toml -o requirements/core.txt
	uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make lock' --extra dev -c requirements/core.txt pyproject.toml -o requirements/dev.txt

clean:
	rm -rf .venv
