package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// nameServer is one server for all sites: every name is on this machine, and TXT records
// come by HTTP.
type nameServer struct{ address, control string }

var names struct {
	sync.Once
	server *nameServer
	err    error
}

// sharedNames starts the name server with the first test; it ends with the process that
// started it.
func sharedNames(t *testing.T) *nameServer {
	t.Helper()
	names.Do(func() {
		ports := freePorts(t, 2)
		s := &nameServer{address: "127.0.0.1:" + ports[0], control: "http://127.0.0.1:" + ports[1]}
		cmd := exec.Command("pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "",
			"-dns01", s.address, "-management", "127.0.0.1:"+ports[1])
		endWithParent(cmd)
		if names.err = cmd.Start(); names.err != nil {
			return
		}
		for range 200 {
			if conn, err := net.Dial("tcp", "127.0.0.1:"+ports[1]); err == nil {
				conn.Close()
				names.server = s
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		names.err = fmt.Errorf("the name server does not start")
	})
	if names.err != nil {
		t.Fatal(names.err)
	}
	return names.server
}

// set puts up a TXT record; clear takes it down.
func (n *nameServer) set(name, value string) error {
	return n.tell("/set-txt", map[string]string{"host": name + ".", "value": value})
}

func (n *nameServer) clear(name string) error {
	return n.tell("/clear-txt", map[string]string{"host": name + "."})
}

func (n *nameServer) tell(path string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	answer, err := http.Post(n.control+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the name server answers %s", answer.Status)
	}
	return nil
}

// tellNames is the part of a shell script that puts records up and takes them down: setTXT
// NAME VALUE and clearTXT NAME.
func (s *site) tellNames() string {
	return fmt.Sprintf(`#!/bin/sh
set -e
setTXT() { curl -fsS -d "{\"host\":\"$1.\",\"value\":\"$2\"}" %[1]s/set-txt; }
clearTXT() { curl -fsS -d "{\"host\":\"$1.\"}" %[1]s/clear-txt; }
`, s.dns.control)
}
