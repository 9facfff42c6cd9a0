# The short names of what is done often. Each is one script or one cargo command.

.PHONY: demo check test bench docs deny

demo: ## Start everything on loopback, with something to sell
	scripts/demo

check: ## Everything that CI checks
	scripts/check

test: ## The tests alone
	cargo test --workspace

bench: ## What a call costs, and what a large catalog does
	cargo bench --bench decide --bench snapshot

docs: ## Write docs/configuration.md anew from the declarations
	-cargo test --quiet --package tollgate-config --lib reference::tests::the_page_is_up_to_date
	git diff --stat docs/configuration.md

deny: ## Licences, sources and advisories of the dependencies
	scripts/deny
