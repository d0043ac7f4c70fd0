# Every target brings what it needs: apt packages of this machine, and a cache that `make clean` removes.
PYTHON = /usr/bin/python3
RUN = $(PYTHON) -m tests.run

.PHONY: help test unit lint docs demo bench bench-gate bench-ansible soak deb deb-check clean
help:
	@echo 'make test    everything: lint, unit tests, system tests on a real systemd with a real Ollama'
	@echo 'make unit    only what needs neither root nor containers'
	@echo 'make lint    ruff, mypy --strict, and the contract between program and documents'
	@echo 'make docs    what of docs/ is made from the program itself: commands, keys, pictures'
	@echo 'make demo    a tour through the program in a container; touches nothing of this machine but the cache'
	@echo 'make bench   the speed table, as ratios against systemctl'
	@echo 'make bench-gate  what the gate adds to a request, beside nginx'
	@echo 'make bench-ansible  the role with 20 servers, beside a play that loops over them'
	@echo 'make soak    what takes too long for every test run; SPECS=100000 VALUES=10000 say how many'
	@echo 'make deb     the Debian package, for bookworm and for trixie, in dist/'
	@echo 'make deb-check  what Debian asks of it: lintian, piuparts, autopkgtest, reproducible builds, pip, Ansible; LiteLLM and Open WebUI read their exports'
	@echo 'make clean   removes the cache'

test:
	$(RUN) all
unit:
	$(RUN) unit
lint:
	$(RUN) lint
docs:
	$(RUN) docs
demo:
	$(RUN) demo
bench:
	$(RUN) bench
bench-gate:
	$(RUN) bench-gate
bench-ansible:
	$(RUN) bench-ansible
soak:
	SOAK_SPECS=$(or $(SPECS),100000) SOAK_VALUES=$(or $(VALUES),10000) SOAK_INSTANCES=1000 SOAK_SECONDS=100 OLLAMACTL_KILLS=200 \
	$(RUN) soak
deb:
	$(RUN) deb
deb-check:
	$(RUN) deb-check
clean:
	$(PYTHON) -m tests.lab clean
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
