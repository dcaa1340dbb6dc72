# What is in deploy/, and how it is checked. Included by the Makefile.

# The tools have a module of their own: who uses ours does not meet theirs.
DEPLOY_BIN  = bin/deploy
DEPLOY_GO   = $(GO) -C tools/deploy

.PHONY: deploy-setup deploy-tools deploy-generate deploy-check

deploy-setup: ## install the tools that check deploy/ (Debian; needs root only then)
	@bash scripts/deploy-setup.sh

deploy-tools: # kustomize, kubeconform and the schemas that it checks against
	@mkdir -p $(DEPLOY_BIN)
	$(DEPLOY_GO) build -o $(CURDIR)/$(DEPLOY_BIN)/ sigs.k8s.io/kustomize/kustomize/v5 github.com/yannh/kubeconform/cmd/kubeconform
	$(DEPLOY_GO) run ./kubeschema $(CURDIR)/$(DEPLOY_BIN)/schemas

deploy-generate: ## make the files of deploy/ that follow from others
	@f=deploy/kubernetes/overlays/production/prometheusrule.yaml; \
	sed '/^spec:$$/q' $$f >$$f.new && sed -n '/^groups:/,$$p' deploy/prometheus/rules.yml | sed 's/^\(.\)/  \1/' >>$$f.new && mv $$f.new $$f

deploy-check: setup deploy-setup deploy-tools ## check deploy/ with the tools that will read it (2 minutes at first, then 30 s)
	MDP_DEPLOY_TOOLS_REQUIRED=1 $(GO) test -count=1 ./deploy/...
