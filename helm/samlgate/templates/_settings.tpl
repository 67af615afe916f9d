{{/* What the chart needs to know of samlgate's configuration. */}}

{{/* A setting that an environment variable may override. Takes a dict: root, env, value. */}}
{{- define "samlgate.setting" -}}
{{- $value := .value -}}
{{- $env := .env -}}
{{- range .root.Values.extraEnv }}{{ if eq .name $env }}{{ $value = default "(from the environment)" .value }}{{ end }}{{ end -}}
{{- if hasKey .root.Values.secretEnv $env }}{{ $value = "(from the environment)" }}{{ end -}}
{{- default "" $value -}}
{{- end -}}

{{- define "samlgate.storageKind" -}}
{{- $storage := .Values.config.storage | default dict -}}
{{- include "samlgate.setting" (dict "root" . "env" "SAMLGATE_STORAGE__KIND" "value" ($storage.kind | default "memory")) -}}
{{- end -}}

{{- define "samlgate.httpPort" -}}
{{- regexFind "[0-9]+$" (toString .Values.config.listen.address) -}}
{{- end -}}

{{/* Empty when the ops address is off or on the loopback interface, where nobody outside the container reaches it. */}}
{{- define "samlgate.opsPort" -}}
{{- $address := toString .Values.config.listen.ops_address -}}
{{- if not (or (eq $address "off") (include "samlgate.isLoopback" $address)) }}{{ regexFind "[0-9]+$" $address }}{{ end -}}
{{- end -}}

{{- define "samlgate.isLoopback" -}}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" . }}yes{{ end -}}
{{- end -}}

{{- define "samlgate.dataDir" -}}
{{- .Values.config.data_dir | default (ternary "/var/lib/samlgate" "" .Values.persistence.enabled) -}}
{{- end -}}

{{/* How many pods there may be at most. */}}
{{- define "samlgate.most" -}}
{{- if .Values.autoscaling.enabled }}{{ .Values.autoscaling.maxReplicas }}{{ else }}{{ .Values.replicas }}{{ end -}}
{{- end -}}

{{/* samlgate.toml */}}
{{- define "samlgate.configFile" -}}
{{- $config := deepCopy .Values.config -}}
{{- with include "samlgate.dataDir" . }}{{ $_ := set $config "data_dir" . }}{{ end -}}
{{- include "samlgate.toml" (dict "map" $config) | trim -}}
{{- end -}}

{{- define "samlgate.checksum" -}}
{{- printf "%s\n%s" (include "samlgate.configFile" .) (toJson .Values.files.inline) | sha256sum -}}
{{- end -}}
