{{/*
A map as TOML. Helm's own toToml would write the integers of a values file as floats.
Takes a dict: map, and path (list of keys above it).
*/}}
{{- define "samlgate.toml" -}}
{{- $path := .path | default list -}}
{{- range $key, $value := .map -}}
{{- if not (or (kindIs "invalid" $value) (kindIs "map" $value) (include "samlgate.toml.isTables" $value)) }}
{{ include "samlgate.toml.key" $key }} = {{ include "samlgate.toml.value" $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := .map -}}
{{- $at := append $path (include "samlgate.toml.key" $key) -}}
{{- if kindIs "map" $value -}}
{{- $body := include "samlgate.toml" (dict "map" $value "path" $at) -}}
{{- if not (hasPrefix "\n\n" $body) }}{{ printf "\n\n[%s]" (join "." $at) }}{{ end -}}
{{- $body -}}
{{- else if include "samlgate.toml.isTables" $value -}}
{{- range $value -}}
{{- printf "\n\n[[%s]]" (join "." $at) -}}
{{- include "samlgate.toml" (dict "map" . "path" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Non-empty for a list of maps, at least one of them: an array of tables. */}}
{{- define "samlgate.toml.isTables" -}}
{{- if and (kindIs "slice" .) (gt (len .) 0) -}}
{{- $tables := true -}}
{{- range . }}{{ if not (kindIs "map" .) }}{{ $tables = false }}{{ end }}{{ end -}}
{{- if $tables }}yes{{ end -}}
{{- end -}}
{{- end -}}

{{- define "samlgate.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ include "samlgate.toml.text" . }}{{ end -}}
{{- end -}}

{{/* JSON's escapes are TOML's too, but for DEL, which JSON leaves as it is. */}}
{{- define "samlgate.toml.text" -}}
{{- toJson . | replace "\u007f" "\\u007f" -}}
{{- end -}}

{{- define "samlgate.toml.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $i, $key := keys . | sortAlpha }}{{ if $i }},{{ end }} {{ include "samlgate.toml.key" $key }} = {{ include "samlgate.toml.value" (get $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{- range $i, $item := . }}{{ if $i }}, {{ end }}{{ include "samlgate.toml.value" $item }}{{ end }}]
{{- else if typeIs "json.Number" . -}}
{{ . }}
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- else if kindIs "string" . -}}
{{ include "samlgate.toml.text" . }}
{{- else if kindIs "invalid" . -}}
{{- fail "samlgate: config holds a list with an empty (null) entry" -}}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}
