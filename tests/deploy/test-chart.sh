#!/bin/sh
# Tests of the Helm chart: lint, rendering, schemas of Kubernetes, good and bad values. Needs no cluster.
# SAMLGATE_BIN names a samlgate that shall check the rendered configuration; default: the one in target/, if any.
set -eu
. "$(dirname "$0")/tools.sh"

kubernetes=v1.34.4
gateway_api=v1.3.0
prometheus_operator=v0.85.0
flags=helm.sh/helm/v3/pkg/chartutil
go_tool helm v3.22.0 helm.sh/helm/v3/cmd/helm -ldflags "-X $flags.k8sVersionMajor=1 -X $flags.k8sVersionMinor=34"
go_tool kubeconform v0.8.0 github.com/yannh/kubeconform/cmd/kubeconform
python_with PyYAML==6.0.3
have openssl || debian openssl

# The generator is part of the key: a changed one writes new schemas.
schemas=$cache/schemas/$kubernetes-$gateway_api-$prometheus_operator-$(cksum < "$here/kube_schemas.py" | cut -d' ' -f1)
if [ ! -e "$schemas/done" ]; then
  say "making the schemas of Kubernetes $kubernetes"
  go_ready
  folder() { go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }
  "$python" "$here/kube_schemas.py" "$schemas" \
    "$(folder k8s.io/kubernetes@$kubernetes)/api/openapi-spec/swagger.json" \
    "$(folder sigs.k8s.io/gateway-api@$gateway_api)/config/crd/standard/gateway.networking.k8s.io_httproutes.yaml" \
    "$(folder github.com/prometheus-operator/prometheus-operator@$prometheus_operator)/jsonnet/prometheus-operator/podmonitors-crd.json"
  touch "$schemas/done"
fi

cd "$here"
SAMLGATE_KUBE_SCHEMAS=$schemas PYTHONDONTWRITEBYTECODE=1 "$python" test_chart.py
