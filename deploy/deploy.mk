# What is in deploy/, and how it is checked. Included by the Makefile.

DEPLOY_TOOL = $(GO) tool -modfile=tools/deploy/go.mod

.PHONY: deploy-setup deploy-check

deploy-setup: ## install the tools that check deploy/ (Debian; needs root only then)
	@bash scripts/deploy-setup.sh

deploy-check: setup deploy-setup ## check deploy/ with systemd, Prometheus, Kustomize, kubeconform
	MDP_DEPLOY_TOOLS_REQUIRED=1 $(GO) test -count=1 ./deploy/...
