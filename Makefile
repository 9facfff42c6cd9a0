# The short names of what is done often. Each is one script or one cargo command.

.PHONY: demo check test bench docs deny release kill-loop faults-long million soak idle simulation schedules schemathesis

demo: ## Start everything on loopback, with something to sell
	scripts/demo

check: ## Everything that CI checks
	scripts/check

test: ## The tests alone
	cargo test --workspace

bench: ## What a call costs, and what a large catalog does
	cargo bench --bench decide --bench snapshot

kill-loop: ## SIGKILL under load, two hundred times in each form
	TOLLGATE_FAULT_KILLS=200 cargo test --test faults -- --nocapture --test-threads 1 kill::

faults-long: ## An outage of the control plane of a minute, and twenty upgrades in a row, under load
	TOLLGATE_FAULT_OUTAGE_SECONDS=60 TOLLGATE_FAULT_UPGRADES=20 \
		cargo test --test faults -- --nocapture --test-threads 1 outage:: upgrade::

million: ## A million calls over three gateways to the bill, while gateways and the sender are killed
	TOLLGATE_FAULT_CALLS=1000000 cargo test --test faults -- --nocapture bill::

soak: ## Everything that comes and goes, eight hundred rounds: what is left of it in memory, files and threads
	TOLLGATE_FAULT_ROUNDS=800 cargo test --test faults -- --nocapture soak::

idle: ## Twenty thousand connections that say nothing
	ulimit -S -n "$$(ulimit -H -n)" && TOLLGATE_FAULT_CONNECTIONS=20000 cargo test --test faults -- --nocapture idle::

simulation: ## A thousand histories of each kind of shared counting
	TOLLGATE_SIMULATION_SEEDS=1000 cargo test --package tollgate-proxy --lib counters::lease::simulation

schedules: ## A thousand histories of sending to each billing system
	TOLLGATE_SCHEDULES=1000 cargo test --package tollgate-admin --lib sending::tests::schedules -- --test-threads 1

schemathesis: ## What the API's description allows and much that it does not, as each role
	scripts/schemathesis --long

docs: ## Write docs/configuration.md and docs/access.md anew from what they describe
	-cargo test --quiet --package tollgate-config --lib reference::tests::the_page_is_up_to_date
	-cargo test --quiet --package tollgate-admin --test api access::every_url::the_page_says_what_each
	git diff --stat docs/configuration.md docs/access.md

release: ## The program to install, by a profile of its own
	scripts/release

deny: ## Licences, sources and advisories of the dependencies
	scripts/deny
