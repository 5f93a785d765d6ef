{{- $context := "" }}{{ if .User.Context }}{{ $context = printf " --context %s" .User.Context }}{{ end -}}
{{- $console := "" }}{{ if .User.Console }}{{ $console = " --console" }}{{ end -}}
{{- $provisioner := "" }}{{ if .User.Provisioner }}{{ $provisioner = printf " --provisioner %s" (quote .User.Provisioner) }}{{ end -}}
Match exec "step ssh check-host{{ $context }} %h"
{{- if .User.User }}
	User {{ .User.User }}
{{- end }}
{{- if eq (toString .User.GOOS) "windows" }}
	UserKnownHostsFile "{{ .User.StepPath }}\ssh\known_hosts"
	ProxyCommand C:\Windows\System32\cmd.exe /c step ssh proxycommand{{ $context }}{{ $console }}{{ $provisioner }} %r %h %p
{{- else }}
	UserKnownHostsFile "{{ .User.StepPath }}/ssh/known_hosts"
	ProxyCommand step ssh proxycommand{{ $context }}{{ $console }}{{ $provisioner }} %r %h %p
{{- end }}
