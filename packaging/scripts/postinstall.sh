#!/bin/sh
# Makes user and directories at once; later boots do it from the same files.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers signet.conf
else
	getent group signet >/dev/null || groupadd --system signet
	getent passwd signet >/dev/null ||
		useradd --system --gid signet --home-dir /var/lib/signet --no-create-home --shell /usr/sbin/nologin signet
fi
if command -v systemd-tmpfiles >/dev/null 2>&1; then
	systemd-tmpfiles --create signet.conf
else
	install -d -m 0750 -o signet -g signet /etc/signet
	install -d -m 0700 -o signet -g signet /etc/signet/secrets /var/lib/signet
	[ -e /etc/signet/db ] || ln -s /var/lib/signet /etc/signet/db
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An upgrade: a server that runs goes on with the new program.
	systemctl try-restart signet.service
fi
