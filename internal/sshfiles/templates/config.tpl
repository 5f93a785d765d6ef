Host *
{{- $base := or .User.StepBasePath .User.StepPath }}
{{- if eq (toString .User.GOOS) "windows" }}
	Include "{{ $base | replace "\\" "/" | trimPrefix "C:" }}/ssh/includes"
{{- else }}
	Include "{{ $base }}/ssh/includes"
{{- end }}
