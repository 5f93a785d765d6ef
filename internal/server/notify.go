package server

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// notifier tells systemd how the service is (sd_notify). Its zero value tells nobody.
type notifier struct{ address string }

// newNotifier reads NOTIFY_SOCKET. The variable stays: RELOADING and STOPPING come later.
func newNotifier(getenv func(string) string) notifier {
	address := getenv("NOTIFY_SOCKET")
	if len(address) > 1 && address[0] == '@' {
		address = "\x00" + address[1:] // abstract namespace
	}
	return notifier{address}
}

func (n notifier) send(state string) {
	if n.address == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.address, Net: "unixgram"})
	if err != nil {
		return // a supervisor that does not listen is no reason to stop serving
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte(state))
}

func (n notifier) ready(status string) { n.send("READY=1\nSTATUS=" + status) }

func (n notifier) stopping() { n.send("STOPPING=1\nSTATUS=draining requests") }

// reloading carries the monotonic time that Type=notify-reload asks for.
func (n notifier) reloading() {
	now, ok := monotonic()
	if !ok {
		n.send("RELOADING=1")
		return
	}
	n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=reloading", now.Microseconds()))
}

// watchdogPeriod is how often the supervisor wants a sign of life; 0 if it does not.
func watchdogPeriod(getenv func(string) string) time.Duration {
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}
