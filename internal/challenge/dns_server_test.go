package challenge_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/signet-ca/signet/internal/challenge"
)

// nameServer is a real DNS server on loopback, by UDP and TCP on one port.
type nameServer struct {
	addr    string
	mu      sync.Mutex
	records map[string][]dns.RR // by lower-case name
	rcodes  map[string]int
	asked   []string
	handler dns.HandlerFunc // answers instead of the records, if set
}

// serveNames starts a server with records in the notation of zone files.
func serveNames(t *testing.T, records ...string) *nameServer {
	t.Helper()
	s := &nameServer{records: map[string][]dns.RR{}, rcodes: map[string]int{}}
	s.add(t, records...)
	var udp net.PacketConn
	var tcp net.Listener
	for range 20 { // the UDP port may be free while the TCP port is not
		var err error
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	s.addr = udp.LocalAddr().String()
	for _, d := range []*dns.Server{{PacketConn: udp, Handler: s}, {Listener: tcp, Handler: s}} {
		ready := make(chan struct{})
		d.NotifyStartedFunc = func() { close(ready) }
		go func() { _ = d.ActivateAndServe() }()
		<-ready
		t.Cleanup(func() { _ = d.Shutdown() })
	}
	return s
}

func (s *nameServer) add(t *testing.T, records ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ToLower(rr.Header().Name)
		s.records[name] = append(s.records[name], rr)
	}
}

// answer makes h answer instead of the records.
func (s *nameServer) answer(h dns.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

// fail makes the server answer questions about a name by a code.
func (s *nameServer) fail(name string, rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcodes[name] = rcode
}

func (s *nameServer) port() int {
	_, port, _ := net.SplitHostPort(s.addr)
	n, _ := strconv.Atoi(port)
	return n
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	name := strings.ToLower(q.Question[0].Name)
	s.mu.Lock()
	network := w.LocalAddr().Network()
	s.asked = append(s.asked, fmt.Sprintf("%s %s %s rd=%v", network, dns.TypeToString[q.Question[0].Qtype], name, q.RecursionDesired))
	handler := s.handler
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative, m.Compress = true, true
	m.Rcode = s.rcodes[name]
	_, exists := s.records[name]
	for _, rr := range s.records[name] {
		if h := rr.Header(); h.Rrtype == q.Question[0].Qtype || h.Rrtype == dns.TypeCNAME {
			m.Answer = append(m.Answer, rr)
		}
	}
	s.mu.Unlock()
	if handler != nil {
		handler(w, q)
		return
	}
	if !exists && m.Rcode == 0 {
		m.Rcode = dns.RcodeNameError
	}
	if network == "udp" {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m)
}

func (s *nameServer) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

const (
	token      = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"
	thumbprint = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
)

// attempt at a name.
func attempt(kind, name string) *challenge.Attempt {
	return &challenge.Attempt{
		Type: kind, Identifier: challenge.Identifier{Type: "dns", Value: name}, Token: token, Thumbprint: thumbprint,
		AccountURL: "https://ca.example/acme/acme/account/abc",
	}
}

// check compares the outcome of a try with the type of problem that is expected; "" is
// success, and a "!" behind it says that the challenge is over.
func check(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if p, ok := err.(*challenge.Problem); ok {
		got = p.Type
		if !p.Retry {
			got += "!"
		}
	} else if err != nil {
		t.Fatalf("%T is no problem: %v", err, err)
	}
	if got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}
