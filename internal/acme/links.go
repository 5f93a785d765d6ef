package acme

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-ca/signet/internal/store"
)

// baseURL is where a client reaches this CA: by the name it used, if that is one of ours,
// else by the first of ours. A forged Host header never gets into a link.
func baseURL(names []string, r *http.Request) string {
	host, _ := splitHost(r.Host)
	if !isOwn(names, host) && len(names) > 0 {
		host = strings.Trim(names[0], "[]")
	}
	return "https://" + joinHost(host, askedPort(r))
}

// askedPort is the port by which a client reaches this CA, "" if that is the one of HTTPS: that
// of the Host header, or of the connection where a client names no host. What is no port is none.
func askedPort(r *http.Request) string {
	host := r.Host
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && host == "" {
		host = at.String()
	}
	_, port := splitHost(host)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return ""
	}
	return port
}

// splitHost takes a Host apart; the port of HTTPS is none.
func splitHost(s string) (host, port string) {
	if h, p, err := net.SplitHostPort(s); err == nil {
		host, port = h, p
	} else {
		host = strings.Trim(s, "[]")
	}
	if port == "443" {
		port = ""
	}
	return strings.ToLower(host), port
}

func joinHost(host, port string) string {
	if port != "" {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// isOwn reports whether a host is one of the CA's names.
func isOwn(names []string, host string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		name = strings.Trim(name, "[]")
		if strings.EqualFold(name, host) {
			return true
		}
		a, b := net.ParseIP(name), net.ParseIP(host)
		return a != nil && b != nil && a.Equal(b)
	})
}

// checkURL holds the URL that was signed against the one that was asked (RFC 8555, Section
// 6.4): its host is any of our names, its port and the rest are exactly those of the request.
func (q *request) checkURL(signed *string) error {
	if signed == nil {
		return malformed("the protected header has no url (RFC 8555, Section 6.4)")
	}
	rest, ok := strings.CutPrefix(*signed, "https://")
	host, target, _ := strings.Cut(rest, "/")
	target = "/" + target
	name, port := splitHost(host)
	path, _, _ := strings.Cut(q.r.RequestURI, "?")
	if !ok || !isOwn(q.state.DNSNames, name) || port != askedPort(q.r) || (target != q.r.RequestURI && target != path) {
		return malformed("the url in the protected header is not the one that was asked: the signature is for %q", clip(*signed))
	}
	return nil
}

// sameURL compares the URL of an account as it was signed with the one it was given: the
// host may be another of our names.
func (q *request) sameURL(given, signed string) bool {
	a, err := url.Parse(given)
	b, also := url.Parse(signed)
	if err != nil || also != nil || b.Scheme != "https" || b.RawQuery != "" || b.Fragment != "" || b.User != nil {
		return false
	}
	host, _ := splitHost(b.Host)
	path := b.EscapedPath()
	for _, prefix := range prefixes[1:] {
		if rest, ok := strings.CutPrefix(path, prefix+"/"); ok {
			path = prefixes[0] + "/" + rest
		}
	}
	return a.EscapedPath() == path && isOwn(q.state.DNSNames, host)
}

func (q *request) accountURL(id string) string { return q.base + "/account/" + id }

func (q *request) orderURL(id string) string { return q.base + "/order/" + id }

func (q *request) authzURL(id string) string { return q.base + "/authz/" + id }

func (q *request) challengeURL(authzID, id string) string {
	return q.base + "/challenge/" + authzID + "/" + id
}

// certificateURL is where an order's certificate is: an order has one at most, so it is
// found by the order's ID.
func (q *request) certificateURL(o *store.ACMEOrder) string { return q.base + "/certificate/" + o.ID }

// clip bounds a stranger's text in a message.
func clip(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
