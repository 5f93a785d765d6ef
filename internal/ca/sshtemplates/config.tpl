Host *
{{- if eq (toString .User.GOOS) "windows" }}
	Include "{{ or .User.StepBasePath .User.StepPath | replace "\\" "/" | trimPrefix "C:" }}/ssh/includes"
{{- else }}
	Include "{{ or .User.StepBasePath .User.StepPath }}/ssh/includes"
{{- end }}
