# Every target brings what it needs: apt packages of this machine, and a cache that `make clean` removes.
PYTHON = /usr/bin/python3
RUN = $(PYTHON) -m tests.run

.PHONY: help test unit lint demo bench clean
help:
	@echo 'make test    everything: lint, unit tests, system tests on a real systemd with a real Ollama'
	@echo 'make unit    only what needs neither root nor containers'
	@echo 'make lint    ruff, mypy --strict, and the contract between program and documents'
	@echo 'make demo    a tour through the program in a container; touches nothing of this machine but the cache'
	@echo 'make bench   the speed table, as ratios against systemctl'
	@echo 'make clean   removes the cache'

test:
	$(RUN) all
unit:
	$(RUN) unit
lint:
	$(RUN) lint
demo:
	$(RUN) demo
bench:
	$(RUN) bench
clean:
	$(PYTHON) -m tests.lab clean
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
