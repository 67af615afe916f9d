{{- define "samlgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 57 characters: names with a suffix are made from it. */}}
{{- define "samlgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "samlgate.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 57 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 57 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "samlgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "samlgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of the pods that samlgate runs in: its own, or the application's. */}}
{{- define "samlgate.podSelector" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- toYaml .Values.sidecar.podSelector -}}
{{- else -}}
app.kubernetes.io/name: {{ include "samlgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- end -}}

{{- define "samlgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "samlgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "samlgate.image" -}}
{{- $name := .Values.image.repository -}}
{{- $global := .Values.global | default dict -}}
{{- with $global.imageRegistry | default .Values.image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* As a list in JSON: the chart's own and those of a parent chart. */}}
{{- define "samlgate.pullSecrets" -}}
{{- $global := .Values.global | default dict -}}
{{- $all := list -}}
{{- range concat .Values.imagePullSecrets ($global.imagePullSecrets | default list) -}}
{{- $all = append $all (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- if $all }}{{ toYaml ($all | uniq) }}{{ end -}}
{{- end -}}

{{/* The host of config.public_url, without a port. */}}
{{- define "samlgate.host" -}}
{{- $authority := .Values.config.public_url | default "" | lower | trimPrefix "https://" | trimPrefix "http://" | trimSuffix "/" -}}
{{- regexReplaceAll ":[0-9]+$" $authority "" -}}
{{- end -}}
