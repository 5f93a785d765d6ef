#!/bin/sh
# deb says remove, rpm says 0; an upgrade stops nothing.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now signet.service || true
	fi
	;;
esac
