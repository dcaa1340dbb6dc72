# The image, and the checks of deploy/. Included by the Makefile.

# The tools have a module of their own, which keeps them out of the root go.mod.
DEPLOY_BIN  = bin/deploy
DEPLOY_GO   = $(GO) -C tools/deploy

.PHONY: deploy-setup deploy-tools deploy-generate deploy-check

deploy-setup: ## install the tools that check deploy/ (Debian; needs root only then)
	@bash scripts/deploy-setup.sh

deploy-tools: # kustomize, kubeconform and the schemas that it checks against, compose's loader; and a test of ociimage
	@mkdir -p $(DEPLOY_BIN)
	$(DEPLOY_GO) build -o $(CURDIR)/$(DEPLOY_BIN)/ sigs.k8s.io/kustomize/kustomize/v5 github.com/yannh/kubeconform/cmd/kubeconform ./composecheck
	$(DEPLOY_GO) run ./kubeschema $(CURDIR)/$(DEPLOY_BIN)/schemas
	$(DEPLOY_GO) test ./ociimage

deploy-generate: ## write the files of deploy/ that are generated from others
	@f=deploy/kubernetes/overlays/production/prometheusrule.yaml; \
	sed '/^spec:$$/q' $$f >$$f.new && sed -n '/^groups:/,$$p' deploy/prometheus/rules.yml | sed 's/^\(.\)/  \1/' >>$$f.new && mv $$f.new $$f

deploy-check: setup deploy-setup deploy-tools ## check deploy/ with the tools that read it (2 minutes at first, then 1)
	MDP_DEPLOY_TOOLS_REQUIRED=1 $(GO) test -count=1 ./deploy/...

# An API server and kubectl, built from the sources of Kubernetes, which have a module of
# their own.
KUBERNETES_BIN = bin/kubernetes

.PHONY: deploy-check-api kubernetes-tools

kubernetes-tools: # quick when they are built
	@mkdir -p $(KUBERNETES_BIN)
	CGO_ENABLED=0 $(GO) -C tools/kubernetes build -trimpath -ldflags '-s -w' -o $(CURDIR)/$(KUBERNETES_BIN)/ \
		k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl

deploy-check-api: setup deploy-tools kubernetes-tools ## ask a real Kubernetes API server to take deploy/kubernetes (12 CPU minutes and 2.5 GB at first, then 30 s)
	bash scripts/deploy-setup.sh etcd
	MDP_KUBERNETES=$(CURDIR)/$(KUBERNETES_BIN) MDP_DEPLOY_TOOLS_REQUIRED=1 $(GO) test -count=1 -run RealAPIServer ./deploy/

IMAGE     ?= mdp-gateway:dev
IMAGE_BIN  = bin/image
IMAGE_DIR  = dist/image

.PHONY: image image-oci image-check image-check-again

# The default format of podman and buildah has no HEALTHCHECK.
image: ## build the image with docker, podman or buildah (IMAGE=name:tag)
	@export BUILDAH_FORMAT=docker; for t in docker podman buildah; do command -v $$t >/dev/null && $$t info >/dev/null 2>&1 && exec $$t build -f deploy/Dockerfile \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t $(IMAGE) .; done; \
	echo 'image: neither docker nor podman nor buildah works here; see make image-oci' >&2; exit 1

image-oci: setup ## assemble the image as an OCI layout in dist/image, without docker (2 minutes at first)
	bash scripts/libzmq-static.sh $(CURDIR)/$(IMAGE_BIN)/libzmq
	PKG_CONFIG_PATH=$(CURDIR)/$(IMAGE_BIN)/libzmq/lib/pkgconfig GO=$(GO) bash scripts/static-build.sh $(IMAGE_BIN)/gateway "$(VERSION)" "$(REVISION)"
	$(DEPLOY_GO) run ./ociimage -binary $(CURDIR)/$(IMAGE_BIN)/gateway -arch $$($(GO) env GOARCH) -version "$(VERSION)" -revision "$(REVISION)" $(CURDIR)/$(IMAGE_DIR)

image-check: image-oci ## unpack that image and run it in a bare chroot (root)
	MDP_IMAGE=$(CURDIR)/$(IMAGE_DIR) $(GO) test -count=1 -run Image ./deploy/

image-check-again: image-oci ## assemble the image once more, from the sources of libzmq on, and compare (2 minutes)
	rm -rf $(IMAGE_BIN)-again
	$(MAKE) --no-print-directory image-oci IMAGE_BIN=$(IMAGE_BIN)-again IMAGE_DIR=$(IMAGE_DIR)-again
	cmp $(IMAGE_DIR)/index.json $(IMAGE_DIR)-again/index.json
	@echo 'the same sources make the same image:' && grep '"digest"' $(IMAGE_DIR)/index.json
