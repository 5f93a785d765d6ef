Match exec "step ssh check-host{{ if .User.Context }} --context {{ .User.Context }}{{ end }} %h"
{{- if .User.User }}
	User {{ .User.User }}
{{- end }}
{{- $flags := "" }}
{{- if .User.Context }}{{ $flags = printf "%s --context %s" $flags .User.Context }}{{ end }}
{{- if .User.Console }}{{ $flags = printf "%s --console" $flags }}{{ end }}
{{- if .User.Provisioner }}{{ $flags = printf "%s --provisioner %s" $flags (quote .User.Provisioner) }}{{ end }}
{{- if eq (toString .User.GOOS) "windows" }}
	UserKnownHostsFile "{{ .User.StepPath }}\ssh\known_hosts"
	ProxyCommand C:\Windows\System32\cmd.exe /c step ssh proxycommand{{ $flags }} %r %h %p
{{- else }}
	UserKnownHostsFile "{{ .User.StepPath }}/ssh/known_hosts"
	ProxyCommand step ssh proxycommand{{ $flags }} %r %h %p
{{- end }}
