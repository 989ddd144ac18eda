{{/* Labels of a component: dict "root" $ "component" "read-api". */}}
{{- define "yima.selector" -}}
app.kubernetes.io/name: yima
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "yima.labels" -}}
{{ include "yima.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: yima
yima/region: {{ required "region.name is the name of this region" .root.Values.region.name }}
{{- end }}

{{- define "yima.name" -}}
{{ .root.Release.Name }}-{{ .component }}
{{- end }}

{{- define "yima.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a pod. */}}
{{- define "yima.podSecurity" -}}
automountServiceAccountToken: false
# Variables of services begin with their names, such as YIMA_, which yima would take for settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "yima.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* Over zones strictly, over machines if possible. */}}
{{- define "yima.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: DoNotSchedule
    labelSelector: { matchLabels: { {{ include "yima.selector" . | replace "\n" ", " }} } }
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: { matchLabels: { {{ include "yima.selector" . | replace "\n" ", " }} } }
{{- end }}

{{/* The variables that every process of yima needs: settings that differ between regions. */}}
{{- define "yima.env" -}}
- { name: YIMA_REGION__NAME, value: {{ .Values.region.name | quote }} }
- { name: YIMA_IDENTITY_PROVIDER__ISSUER, value: {{ required "identityProvider.issuer is the iss of its tokens" .Values.identityProvider.issuer | quote }} }
{{- if .Values.identityProvider.clientId }}
- { name: YIMA_IDENTITY_PROVIDER__DISCOVERY, value: "true" }
{{- else }}
- { name: YIMA_IDENTITY_PROVIDER__KEYS_FILE, value: /etc/yima/jwks.json }
{{- end }}
- { name: YIMA_STORE__CQL__CONTACT_POINTS, value: {{ required "database.contactPoints are nodes of the database" .Values.database.contactPoints | toJson | quote }} }
- { name: YIMA_STORE__CQL__DATACENTER, value: {{ required "database.datacenter is the database's name of it" .Values.database.datacenter | quote }} }
{{- end }}

{{/* The variables of a service at whose pages people sign in: dict "root" $ "setting" "WRITER" "host" NAME. */}}
{{- define "yima.signIn" -}}
{{- with .root.Values.identityProvider.clientId }}
- { name: YIMA_IDENTITY_PROVIDER__CLIENT_ID, value: {{ . | quote }} }
- { name: YIMA_IDENTITY_PROVIDER__CLIENT_SECRET, value: '{ file = "/etc/yima/client-secret" }' }
- { name: YIMA_{{ $.setting }}__PUBLIC_URL, value: "https://{{ required "edge.people and edge.agencies are the host names of the pages" $.host }}" }
{{- end }}
{{- end }}

{{/* Where a process sends its traces. */}}
{{- define "yima.traces" -}}
{{- if .Values.collector.enabled }}
- { name: YIMA_TELEMETRY__OTLP_ENDPOINT, value: "http://{{ .Release.Name }}-collector:4318/v1/traces" }
{{- end }}
{{- end }}

{{/* The name by which the auditor asks a pod of a set for its state: dict "root" $ "component" "writer". */}}
{{- define "yima.ownName" -}}
- { name: POD, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
- { name: YIMA_ADMIN__HOST_NAMES, value: '["$(POD).{{ include "yima.name" . }}.{{ .root.Release.Namespace }}.svc.cluster.local"]' }
{{- end }}

{{- define "yima.extraEnv" -}}
{{- range $name, $value := . }}
- { name: {{ $name }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- end }}

{{- define "yima.mounts" -}}
- { name: data, mountPath: /var/lib/yima }
- { name: keys, mountPath: /var/lib/yima/keys, readOnly: true }
- { name: settings, mountPath: /etc/yima, readOnly: true }
{{- end }}

{{/* dict "root" $ "configMap" NAME: keys and settings; the volume `data` is each workload's own. */}}
{{- define "yima.volumes" -}}
{{- $values := .root.Values -}}
- name: keys
  secret: { secretName: {{ $values.keysSecret }}, defaultMode: 0440 }
- name: settings
  projected:
    defaultMode: 0440
    sources:
      - configMap: { name: {{ .configMap }} }
      {{- with $values.identityProvider }}
      {{- if .clientId }}
      - secret: { name: {{ .clientSecret.secret }}, items: [{ key: {{ .clientSecret.key }}, path: client-secret }] }
      {{- else }}
      - configMap: { name: {{ .keys.configMap }}, items: [{ key: {{ .keys.key }}, path: jwks.json }] }
      {{- end }}
      {{- end }}
      - configMap: { name: {{ $values.agencies.configMap }}, items: [{ key: {{ $values.agencies.key }}, path: agencies.toml }] }
      - secret: { name: {{ $values.database.password.secret }}, items: [{ key: {{ $values.database.password.key }}, path: cql-password }] }
      - secret: { name: {{ $values.database.authority.secret }}, items: [{ key: {{ $values.database.authority.key }}, path: cql-ca.pem }] }
{{- end }}

{{- define "yima.probes" -}}
# The first start fills the disk tier.
startupProbe: { httpGet: { path: /health/live, port: admin }, periodSeconds: 2, failureThreshold: 300 }
livenessProbe: { httpGet: { path: /health/live, port: admin }, periodSeconds: 10, failureThreshold: 6, timeoutSeconds: 5 }
readinessProbe: { httpGet: { path: /health/ready, port: admin }, periodSeconds: 2, failureThreshold: 2 }
{{- end }}

{{/* The name of a pod of a set in the cluster's DNS: dict "root" $ "component" "writer" "n" 0. */}}
{{- define "yima.host" -}}
{{ $name := include "yima.name" . }}{{ $name }}-{{ .n }}.{{ $name }}.{{ .root.Release.Namespace }}.svc.cluster.local
{{- end }}
