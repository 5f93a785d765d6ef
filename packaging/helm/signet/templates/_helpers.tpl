{{- define "signet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "signet.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "signet.labels" -}}
{{ include "signet.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "signet.dns" -}}
{{- $service := include "signet.fullname" . -}}
{{- default (printf "%s,%s.%s,%s.%s.svc,%s.%s.svc.cluster.local,127.0.0.1" $service $service .Release.Namespace $service .Release.Namespace $service .Release.Namespace) .Values.ca.dns -}}
{{- end -}}

{{- define "signet.check" -}}
{{- $shared := or (eq .Values.database.type "postgresql") (eq .Values.database.type "mysql") -}}
{{- if and $shared (not .Values.database.secret) -}}
{{- fail "database.secret is missing: the name of a secret whose member url is the data source" -}}
{{- end -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- if not $shared -}}
{{- fail "several replicas need a database they share: set database.type to postgresql or mysql" -}}
{{- end -}}
{{- if not .Values.inject.enabled -}}
{{- fail "several replicas need the same keys: set inject, as signet ca init --helm prints it" -}}
{{- end -}}
{{- end -}}
{{- end -}}
