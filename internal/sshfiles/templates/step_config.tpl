{{- $program := or .User.Program "step" }}
{{- $flags := "" }}
{{- if .User.Context }}{{ $flags = printf " --context %s" .User.Context }}{{ end -}}
Match exec "{{ $program }} ssh check-host{{ $flags }} %h"
{{- if .User.User }}
	User {{ .User.User }}
{{- end }}
{{- if .User.Console }}{{ $flags = printf "%s --console" $flags }}{{ end }}
{{- if .User.Provisioner }}{{ $flags = printf "%s --provisioner %s" $flags (quote .User.Provisioner) }}{{ end }}
{{- if eq (toString .User.GOOS) "windows" }}
	UserKnownHostsFile "{{ .User.StepPath }}\ssh\known_hosts"
	ProxyCommand C:\Windows\System32\cmd.exe /c {{ $program }} ssh proxycommand{{ $flags }} %r %h %p
{{- else }}
	UserKnownHostsFile "{{ .User.StepPath }}/ssh/known_hosts"
	ProxyCommand {{ $program }} ssh proxycommand{{ $flags }} %r %h %p
{{- end }}
