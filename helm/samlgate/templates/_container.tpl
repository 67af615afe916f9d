{{/*
For another chart's Deployment, with this chart as its dependency "samlgate" in mode sidecar:
  containers:     {{- include "samlgate.sidecarContainer" .Subcharts.samlgate | nindent 8 }}
  volumes:        {{- include "samlgate.sidecarVolumes" .Subcharts.samlgate | nindent 8 }}
  annotations:    {{- include "samlgate.sidecarAnnotations" .Subcharts.samlgate | nindent 8 }}
With sidecar.native the container goes under initContainers.
*/}}
{{- define "samlgate.sidecarContainer" -}}
{{- include "samlgate.check" . -}}
- {{ include "samlgate.container" . | indent 2 | trim }}
{{- if .Values.sidecar.native }}
  restartPolicy: Always
{{- end }}
{{- end -}}

{{- define "samlgate.sidecarVolumes" -}}
{{- include "samlgate.volumes" . -}}
{{- end -}}

{{- define "samlgate.sidecarAnnotations" -}}
checksum/samlgate: {{ include "samlgate.checksum" . }}
{{- end -}}

{{- define "samlgate.container" -}}
name: samlgate
image: {{ include "samlgate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run, --config, /etc/samlgate/samlgate.toml]
{{- with include "samlgate.env" . | trim }}
env:
  {{- . | nindent 2 }}
{{- end }}
ports:
  - name: samlgate
    containerPort: {{ include "samlgate.httpPort" . }}
    protocol: TCP
  {{- with include "samlgate.opsPort" . }}
  - name: samlgate-ops
    containerPort: {{ . }}
    protocol: TCP
  {{- end }}
{{- include "samlgate.probes" . }}
{{- if and (gt (int .Values.preStopSeconds) 0) (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ .Values.preStopSeconds }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - name: samlgate-config
    mountPath: /etc/samlgate
    readOnly: true
  {{- with include "samlgate.dataDir" . }}
  - name: samlgate-data
    mountPath: {{ . }}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "samlgate.env" -}}
{{- range $name, $from := .Values.secretEnv }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.secret }}
      key: {{ $from.key | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Without an ops address that the kubelet reaches, the container asks itself. */}}
{{- define "samlgate.probes" -}}
{{- if .Values.probes.enabled }}
{{- $ops := include "samlgate.opsPort" . }}
readinessProbe:
  {{- if $ops }}
  httpGet:
    path: /readyz
    port: samlgate-ops
  {{- else }}
  exec:
    command: [samlgate, healthcheck, --config, /etc/samlgate/samlgate.toml]
  {{- end }}
  {{- toYaml .Values.probes.readiness | nindent 2 }}
livenessProbe:
  {{- if $ops }}
  httpGet:
    path: /livez
    port: samlgate-ops
  {{- else }}
  tcpSocket:
    port: samlgate
  {{- end }}
  {{- toYaml .Values.probes.liveness | nindent 2 }}
{{- end }}
{{- end -}}

{{/* One folder out of many objects, so that samlgate.toml names files without a path and sees them change. */}}
{{- define "samlgate.volumes" -}}
- name: samlgate-config
  projected:
    # A sidecar has no say in its pod's fsGroup, and only its own container mounts this.
    defaultMode: {{ ternary 0444 0440 (eq .Values.mode "sidecar") }}
    sources:
      - configMap:
          name: {{ include "samlgate.fullname" . }}
      {{- range .Values.files.from }}
      - {{ ternary "secret" "configMap" (hasKey . "secret") }}:
          name: {{ .secret | default .configMap }}
          {{- with .items }}
          items:
            {{- range $key, $path := . }}
            - key: {{ $key | quote }}
              path: {{ $path | quote }}
            {{- end }}
          {{- end }}
      {{- end }}
{{- if include "samlgate.dataDir" . }}
- name: samlgate-data
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim | default (include "samlgate.fullname" .) }}
  {{- else }}
  emptyDir:
    sizeLimit: 256Mi
  {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
