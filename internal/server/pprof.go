package server

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// profile serves Go profiles at the address in STEP_PROF_ADDR or SIGNET_PROF_ADDR, which
// must be on this machine: a profile shows what the process works on.
func (s *Server) profile() error {
	address := orElse(s.o.Getenv("SIGNET_PROF_ADDR"), s.o.Getenv("STEP_PROF_ADDR"))
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("the address for profiles %q is no host and port: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("the address for profiles is %q; only this machine may ask, so use 127.0.0.1 or localhost", address)
	}
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for profiles: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: connTimeout, WriteTimeout: 5 * time.Minute}
	go func() { _ = server.Serve(socket) }() // ends with the process
	return nil
}
