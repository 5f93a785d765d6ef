package challenge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/signet-ca/signet/internal/fetch"
)

// Bounds on DNS. A message of DNS over TCP has at most 64 KiB by itself.
const (
	queryTime   = 5 * time.Second // one query to one server
	queryRounds = 3               // over all servers
	maxAliases  = 10              // of a chain of CNAME records
	maxServers  = 8               // of one zone
	udpSize     = 1232            // that passes everywhere without fragments
)

const systemConfiguration = "/etc/resolv.conf"

// resolver asks DNS servers. This file is the only one that knows the DNS library.
type resolver struct {
	servers       []string // host:port; empty: those of the machine
	authoritative bool
	authorityPort string
	strict        bool
	dnssec        bool
	authority     *fetch.Dialer // to servers that whoever holds a zone names
	log           *slog.Logger
}

func newResolver(s *Settings) *resolver {
	r := &resolver{authoritative: s.Authoritative, authorityPort: "53", strict: s.StrictFQDN, dnssec: s.DNSSEC, log: s.Log}
	if s.AuthorityPort != 0 {
		r.authorityPort = strconv.Itoa(s.AuthorityPort)
	}
	servers := s.Resolvers
	if len(servers) == 0 && s.Resolver != "" {
		servers = []string{s.Resolver}
	}
	for _, server := range servers {
		r.servers = append(r.servers, withPort(server, "53"))
	}
	r.authority = &fetch.Dialer{Timeout: queryTime, Reach: fetch.Validation, Networks: s.Networks}
	return r
}

// withPort adds a port to a host that has none.
func withPort(server, port string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), port)
}

// texts are the TXT records of a name.
type texts struct {
	values []string      // the strings of one record joined
	ttl    time.Duration // how long they may be kept
}

func (r *resolver) texts(ctx context.Context, a *Attempt, name string) (*texts, error) {
	records, err := r.records(ctx, a, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	found := &texts{}
	for i, rr := range records {
		txt, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		found.values = append(found.values, plain(strings.Join(txt.Txt, "")))
		if ttl := time.Duration(txt.Hdr.Ttl) * time.Second; i == 0 || ttl < found.ttl {
			found.ttl = ttl
		}
	}
	return found, nil
}

// plain undoes the notation of zone files, in which the library hands out texts: a
// backslash before a character or before three digits of its code.
func plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if code, err := strconv.ParseUint(s[i:min(i+3, len(s))], 10, 8); err == nil && i+3 <= len(s) {
			b.WriteByte(byte(code))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// properties are the CAA records of a name.
func (r *resolver) properties(ctx context.Context, a *Attempt, name string) ([]property, error) {
	records, err := r.records(ctx, a, name, dns.TypeCAA)
	if err != nil {
		return nil, err
	}
	var set []property
	for _, rr := range records {
		if c, ok := rr.(*dns.CAA); ok {
			set = append(set, property{flags: c.Flag, tag: strings.ToLower(c.Tag), value: c.Value})
		}
	}
	return set, nil
}

// addresses finds the addresses of a host, as the machine does unless servers are set.
func (r *resolver) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if len(r.servers) == 0 {
		found, err := r.machineAddresses(ctx, host)
		if err == nil {
			foundAddresses(ctx, host, "the machine's resolver", found)
		}
		return found, err
	}
	var found []netip.Addr
	var failed error
	for _, kind := range []uint16{dns.TypeAAAA, dns.TypeA} {
		records, err := r.chase(ctx, nil, host, kind)
		if err != nil {
			failed = err // the other family may still answer
		}
		for _, rr := range records {
			found = append(found, address(rr)...)
		}
	}
	if len(found) > 0 {
		foundAddresses(ctx, host, strings.Join(r.servers, ", "), found)
		return found, nil
	}
	if failed != nil {
		return nil, failed
	}
	return nil, retry(dnsFailure, "%s has no address", host)
}

func (r *resolver) machineAddresses(ctx context.Context, host string) ([]netip.Addr, error) {
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+".")
	if isNotFound(err) && !r.strict {
		found, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err == nil {
			r.log.Warn("a name was found only through this machine's DNS search list; acme-strict-fqdn forbids that", "subject", host)
		}
	}
	switch {
	case isNotFound(err), err == nil && len(found) == 0:
		return nil, retry(dnsFailure, "%s has no address", host)
	case err != nil:
		return nil, retry(dnsFailure, "the addresses of %s cannot be found: %s", host, reason(err))
	}
	return found, nil
}

func isNotFound(err error) bool {
	missing, ok := errors.AsType[*net.DNSError](err)
	return ok && missing.IsNotFound
}

func address(rr dns.RR) []netip.Addr {
	var ip net.IP
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return nil
	}
	return []netip.Addr{a.Unmap()}
}

// records finds the records of one type, also through the machine's search list if names
// are not strict.
func (r *resolver) records(ctx context.Context, a *Attempt, name string, kind uint16) ([]dns.RR, error) {
	names := []string{name}
	if conf, err := dns.ClientConfigFromFile(systemConfiguration); err == nil && len(r.servers) == 0 && !r.strict && kind == dns.TypeTXT {
		for _, domain := range conf.Search {
			names = append(names, name+"."+domain)
		}
	}
	for i, full := range names {
		found, err := r.chase(ctx, a, full, kind)
		if err != nil && i == 0 {
			return nil, err
		}
		if len(found) > 0 {
			if i > 0 {
				a.note("%s was found through the search list as %s", name, full)
				r.log.Warn("a name was found only through this machine's DNS search list; acme-strict-fqdn forbids that", "subject", name)
			}
			return found, nil
		}
	}
	return nil, nil
}

// chase asks for one name and follows its aliases.
func (r *resolver) chase(ctx context.Context, a *Attempt, name string, kind uint16) ([]dns.RR, error) {
	at := dns.CanonicalName(name)
	seen := map[string]bool{}
	for range maxAliases + 1 {
		if seen[at] {
			return nil, retry(dnsFailure, "the aliases of %s run in a circle", name)
		}
		seen[at] = true
		answer, from, err := r.ask(ctx, at, kind)
		if err != nil {
			p := retry(dnsFailure, "%s %s: %s", dns.TypeToString[kind], strings.TrimSuffix(at, "."), err.Error())
			if a != nil {
				a.note("%s", p.Detail)
			}
			return nil, p
		}
		found, next := pick(answer.Answer, at, kind)
		if a != nil {
			a.note("%s %s: %d records from %s", dns.TypeToString[kind], strings.TrimSuffix(at, "."), len(found), from)
		}
		if len(found) > 0 || next == at {
			return found, nil
		}
		at = next
	}
	return nil, retry(dnsFailure, "%s has more than %d aliases", name, maxAliases)
}

// pick finds the records of a name in an answer, following the aliases in it. Without any,
// next is where the aliases lead.
func pick(answer []dns.RR, name string, kind uint16) (found []dns.RR, next string) {
	for range maxAliases + 1 {
		alias := ""
		for _, rr := range answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || dns.CanonicalName(h.Name) != name {
				continue
			}
			if h.Rrtype == kind {
				found = append(found, rr)
			}
			if c, ok := rr.(*dns.CNAME); ok {
				alias = dns.CanonicalName(c.Target)
			}
		}
		if len(found) > 0 || alias == "" {
			return found, name
		}
		name = alias
	}
	return nil, name
}

// errNoServer is what every silent or broken server comes to.
var errNoServer = errors.New("no name server answers")

// ask gets one answer: from the servers of the zone itself, where that is set, else from a
// resolver.
func (r *resolver) ask(ctx context.Context, name string, kind uint16) (answer *dns.Msg, from string, err error) {
	if !r.authoritative {
		return r.askResolvers(ctx, name, kind)
	}
	servers, err := r.authorities(ctx, name)
	if err != nil {
		return nil, "", err
	}
	return r.askEach(ctx, servers, question(name, kind, false))
}

func (r *resolver) askResolvers(ctx context.Context, name string, kind uint16) (*dns.Msg, string, error) {
	servers := r.servers
	if len(servers) == 0 {
		servers = machineServers()
	}
	q := question(name, kind, true)
	if r.dnssec {
		q.AuthenticatedData = true
		q.SetEdns0(udpSize, true)
	}
	return r.askEach(ctx, servers, q)
}

func machineServers() []string {
	conf, err := dns.ClientConfigFromFile(systemConfiguration)
	if err != nil || len(conf.Servers) == 0 {
		return []string{"127.0.0.1:53", "[::1]:53"}
	}
	var servers []string
	for _, s := range conf.Servers {
		servers = append(servers, net.JoinHostPort(s, conf.Port))
	}
	return servers
}

func question(name string, kind uint16, recursion bool) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	q.RecursionDesired = recursion
	q.SetEdns0(udpSize, false)
	return q
}

// askEach asks servers in turn until one gives an answer that can be used.
func (r *resolver) askEach(ctx context.Context, servers []string, q *dns.Msg) (*dns.Msg, string, error) {
	if _, ok := dns.IsDomainName(q.Question[0].Name); !ok || len(q.Question[0].Name) > 254 {
		return nil, "", errors.New("that is no name of DNS")
	}
	last := errNoServer
	for range queryRounds {
		for _, server := range servers {
			answer, err := r.exchange(ctx, server, q.Copy())
			if err == nil {
				return answer, server, nil
			}
			if ctx.Err() != nil {
				return nil, "", errors.New("no answer in time")
			}
			last = err
		}
	}
	return nil, "", last
}

// exchange makes one query: by UDP, and by TCP if the answer does not fit.
func (r *resolver) exchange(ctx context.Context, server string, q *dns.Msg) (*dns.Msg, error) {
	q.Id = dns.Id()
	for _, network := range []string{"udp", "tcp"} {
		answer, err := r.over(ctx, network, server, q)
		if err != nil {
			return nil, err
		}
		if answer.Truncated && network == "udp" {
			continue
		}
		return answer, r.judge(answer, q)
	}
	return nil, errNoServer
}

func (r *resolver) over(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	var conn net.Conn
	var err error
	if q.RecursionDesired { // a server that an operator named may be anywhere
		conn, err = (&net.Dialer{}).DialContext(ctx, network, server)
	} else {
		conn, err = r.authority.DialContext(ctx, network, server)
	}
	if err != nil {
		return nil, fmt.Errorf("name server %s: %s", server, reason(err))
	}
	defer conn.Close()
	client := &dns.Client{Net: network, Timeout: queryTime, UDPSize: udpSize}
	answer, _, err := client.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn, UDPSize: udpSize})
	if err != nil {
		return nil, fmt.Errorf("name server %s: %s", server, reason(err))
	}
	return answer, nil
}

// judge says whether an answer is one. That a name does not exist is an answer.
func (r *resolver) judge(answer, q *dns.Msg) error {
	want := q.Question[0]
	if !answer.Response || answer.Truncated || len(answer.Question) != 1 || answer.Question[0].Qtype != want.Qtype || dns.CanonicalName(answer.Question[0].Name) != want.Name {
		return errors.New("the name server answers something else than it was asked")
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return fmt.Errorf("the name server answers %s", dns.RcodeToString[answer.Rcode])
	}
	if !q.RecursionDesired && !answer.Authoritative {
		return errors.New("the name server is not one of the zone's own")
	}
	if q.RecursionDesired && r.dnssec && !answer.AuthenticatedData {
		return errors.New("the name server does not call its answer authentic (DNSSEC)")
	}
	return nil
}

// authorities finds the servers of the zone that a name is in.
func (r *resolver) authorities(ctx context.Context, name string) ([]string, error) {
	for zone := name; ; {
		answer, _, err := r.askResolvers(ctx, zone, dns.TypeNS)
		if err != nil {
			return nil, err
		}
		var servers []string
		for _, rr := range answer.Answer {
			ns, ok := rr.(*dns.NS)
			if !ok || dns.CanonicalName(ns.Hdr.Name) != zone || len(servers) >= maxServers {
				continue
			}
			found, err := r.hostAddresses(ctx, ns.Ns)
			if err != nil {
				continue // another server of the zone may have addresses
			}
			for _, a := range found {
				servers = append(servers, net.JoinHostPort(a.String(), r.authorityPort))
			}
		}
		if len(servers) > 0 {
			return servers[:min(len(servers), maxServers)], nil
		}
		next, end := dns.NextLabel(zone, 0)
		if end || zone == "." {
			return nil, errors.New("the servers of the zone cannot be found")
		}
		zone = zone[next:]
	}
}

// hostAddresses asks the resolvers for the addresses of a name server.
func (r *resolver) hostAddresses(ctx context.Context, host string) ([]netip.Addr, error) {
	var found []netip.Addr
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		answer, _, err := r.askResolvers(ctx, dns.CanonicalName(host), kind)
		if err != nil {
			return nil, err
		}
		records, _ := pick(answer.Answer, dns.CanonicalName(host), kind)
		for _, rr := range records {
			found = append(found, address(rr)...)
		}
	}
	return found, nil
}
