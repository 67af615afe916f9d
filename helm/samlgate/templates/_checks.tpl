{{/* Combinations that would install well and then fail or widen access: all of them are listed at once. */}}
{{- define "samlgate.check" -}}
{{- $problems := list -}}
{{- $config := .Values.config -}}
{{- $storage := $config.storage | default dict -}}
{{- $kind := include "samlgate.storageKind" . -}}
{{- $many := gt (int (include "samlgate.most" .)) 1 -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
{{- $upstream := include "samlgate.setting" (dict "root" . "env" "SAMLGATE_UPSTREAM__URL" "value" (($config.upstream | default dict).url)) -}}
{{- $address := toString $config.listen.address -}}
{{- $ops := toString $config.listen.ops_address -}}

{{- if not (include "samlgate.setting" (dict "root" . "env" "SAMLGATE_PUBLIC_URL" "value" $config.public_url)) -}}
{{- $problems = append $problems "config.public_url is missing: scheme and host as users see them, such as https://reports.example.com" -}}
{{- end -}}
{{- if not $upstream -}}
{{- $problems = append $problems "config.upstream.url is missing: where the application listens, such as http://reports.default.svc:3000, or http://127.0.0.1:3000 in sidecar mode" -}}
{{- else if and $sidecar (not (regexMatch "^(\\(from |unix:|[a-z0-9]+://(127\\.|localhost[:/]|localhost$|\\[::1\\]))" $upstream)) -}}
{{- $problems = append $problems (printf "config.upstream.url is %s, but a sidecar stands before the application of its own pod: use 127.0.0.1 or a unix socket, or mode: standalone" $upstream) -}}
{{- end -}}

{{- if or (not (regexMatch ":[0-9]+$" $address)) (include "samlgate.isLoopback" $address) -}}
{{- $problems = append $problems (printf "config.listen.address is %s: a Service can't reach that; use 0.0.0.0:8080" $address) -}}
{{- end -}}
{{- if and (ne $ops "off") (not (regexMatch ":[0-9]+$" $ops)) -}}
{{- $problems = append $problems (printf "config.listen.ops_address is %s: use 0.0.0.0:9090, 127.0.0.1:9090 or \"off\"" $ops) -}}
{{- end -}}
{{- if and (eq $ops "off") .Values.probes.enabled -}}
{{- $problems = append $problems "config.listen.ops_address is off, but the probes ask there: set probes.enabled=false too, or an address" -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled (not (include "samlgate.opsPort" .)) -}}
{{- $problems = append $problems (printf "podMonitor.enabled needs config.listen.ops_address on an address that Prometheus reaches; it is %s" $ops) -}}
{{- end -}}
{{- if eq (include "samlgate.httpPort" .) (include "samlgate.opsPort" .) -}}
{{- $problems = append $problems "config.listen.address and config.listen.ops_address have the same port" -}}
{{- end -}}

{{- if and $many (eq $kind "memory") (not .Values.stickySessions) -}}
{{- $problems = append $problems "several replicas with storage.kind = memory: a browser that meets another pod would have to log in again, and a response could be replayed there. Set config.storage.kind=redis, or replicas=1, or stickySessions=true when your load balancer keeps each browser on one pod" -}}
{{- end -}}
{{- if and $many (eq $kind "sqlite") -}}
{{- $problems = append $problems "several replicas with storage.kind = sqlite: the file belongs to one process. Set config.storage.kind=redis, or replicas=1" -}}
{{- end -}}
{{- if and (eq $kind "sqlite") (not .Values.persistence.enabled) -}}
{{- $problems = append $problems "storage.kind = sqlite without a volume loses everything with the pod: set persistence.enabled=true" -}}
{{- end -}}
{{- $assertion := (($config.headers | default dict).assertion | default dict).key -}}
{{- if and $many (not (include "samlgate.setting" (dict "root" . "env" "SAMLGATE_HEADERS__ASSERTION__KEY" "value" $assertion))) -}}
{{- $problems = append $problems "several replicas need one signing key, or applications refuse the assertions of the other pods: put a key from `samlgate keygen` into a Secret, mount it by files.from and name it in config.headers.assertion.key" -}}
{{- end -}}
{{- if and (eq $kind "redis") (not (or $storage.encryption_key $storage.encryption_key_file (include "samlgate.setting" (dict "root" . "env" "SAMLGATE_STORAGE__ENCRYPTION_KEY" "value" "")))) -}}
{{- $problems = append $problems "storage.kind = redis needs an encryption key: name a Secret in secretEnv.SAMLGATE_STORAGE__ENCRYPTION_KEY, or mount a file and set config.storage.encryption_key_file" -}}
{{- end -}}

{{- if $storage.encryption_key -}}
{{- $problems = append $problems "config.storage.encryption_key is a secret and would stand in a ConfigMap: use secretEnv.SAMLGATE_STORAGE__ENCRYPTION_KEY or encryption_key_file" -}}
{{- end -}}
{{- if regexMatch "://[^/@]*:[^/@]+@" (toString $storage.url) -}}
{{- $problems = append $problems "config.storage.url holds a password and would stand in a ConfigMap: use secretEnv.SAMLGATE_STORAGE__URL or url_file" -}}
{{- end -}}
{{- range $config.local_user -}}
{{- if .totp_secret -}}
{{- $problems = append $problems (printf "config.local_user %s: totp_secret would stand in a ConfigMap: use totp_secret_file with files.from" .name) -}}
{{- end -}}
{{- end -}}

{{- if hasKey .Values.files.inline "samlgate.toml" -}}
{{- $problems = append $problems "files.inline can't replace samlgate.toml: the configuration is what config says" -}}
{{- end -}}

{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not .Values.service.enabled) -}}
{{- $problems = append $problems "ingress and httpRoute lead to the chart's Service: set service.enabled=true" -}}
{{- end -}}
{{- if or (and .Values.ingress.enabled (not .Values.ingress.hosts)) (and .Values.httpRoute.enabled (not .Values.httpRoute.hostnames)) -}}
{{- if not (include "samlgate.host" .) -}}
{{- $problems = append $problems "ingress.hosts or httpRoute.hostnames is empty, and there is no config.public_url to take the host from" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $problems = append $problems "httpRoute.parentRefs is empty: name the Gateway that the route belongs to" -}}
{{- end -}}

{{- if $sidecar -}}
{{- if and .Values.networkPolicy.enabled (not .Values.sidecar.podSelector) -}}
{{- $problems = append $problems "sidecar.podSelector is empty: give the labels of the application's pods, so that the NetworkPolicy can close the application's own port; or set networkPolicy.enabled=false and close it yourself" -}}
{{- end -}}
{{- if and .Values.service.enabled (not .Values.sidecar.podSelector) -}}
{{- $problems = append $problems "sidecar.podSelector is empty: the Service needs the labels of the application's pods; or set service.enabled=false and lead your own Service to the port named samlgate" -}}
{{- end -}}
{{- if and .Values.sidecar.native (semverCompare "<1.29-0" .Capabilities.KubeVersion.Version) -}}
{{- $problems = append $problems (printf "sidecar.native needs Kubernetes 1.29; this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if or .Values.autoscaling.enabled .Values.podDisruptionBudget.enabled -}}
{{- $problems = append $problems "autoscaling and podDisruptionBudget are for mode standalone; in sidecar mode they belong to the application's Deployment" -}}
{{- end -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\n\nThese values can't work:\n- %s\n" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}
