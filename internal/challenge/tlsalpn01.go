package challenge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// acmeTLS is the protocol that tls-alpn-01 speaks (RFC 8737, Section 6.2).
const acmeTLS = "acme-tls/1"

var (
	// idPeACMEIdentifier marks the digest in a challenge certificate (RFC 8737, Section 6.1).
	idPeACMEIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}
	// obsoleteIdentifier stood for it in early drafts.
	obsoleteIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 30, 1}
	subjectAltName     = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// noApplicationProtocol is how a server says that it does not speak acme-tls/1.
const noApplicationProtocol = tls.AlertError(120)

// remoteAlert is the alert that a server ended a handshake with, in the words of crypto/tls,
// which does not export its type.
func remoteAlert(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return op.Err.Error()
	}
	return ""
}

// tlsALPN01 connects to the name and looks at the certificate that is shown there (RFC 8737;
// for addresses RFC 8738, Section 6).
func (v *Validator) tlsALPN01(ctx context.Context, a *Attempt) error {
	to := hostPort(a.Identifier.Value, v.set.TLSPort)
	looking, told := withLookups(ctx, a)
	conn, err := v.dialer.DialContext(looking, "tcp", to)
	told()
	if err != nil {
		p := unreached("connect to "+to, err)
		a.note("%s", p.Detail)
		return p
	}
	defer conn.Close()
	a.note("connected to %s", conn.RemoteAddr())
	name := ServerName(a.Identifier)
	client := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{acmeTLS}, ServerName: name,
		InsecureSkipVerify: true, // the certificate is made for this connection and signed by itself; we judge it below
	})
	if err := client.HandshakeContext(ctx); err != nil {
		switch alert := remoteAlert(err); alert {
		case "":
		case noApplicationProtocol.Error():
			return final(rejected, "%s does not speak %s", to, acmeTLS)
		default:
			return retry(tlsFailure, "%s ended the handshake: %s", to, alert)
		}
		return retry(connection, "TLS handshake with %s: %s", to, reason(err))
	}
	state := client.ConnectionState()
	if state.NegotiatedProtocol != acmeTLS {
		return final(rejected, "%s does not speak %s", to, acmeTLS)
	}
	// More certificates behind it are the usual chain, which Apache sends along on renewal.
	return judgeChallengeCertificate(state.PeerCertificates[0], a)
}

// judgeChallengeCertificate checks what RFC 8737, Section 3, says of the certificate.
func judgeChallengeCertificate(c *x509.Certificate, a *Attempt) error {
	if !bytes.Equal(c.RawIssuer, c.RawSubject) || c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil {
		return final(rejected, "the challenge certificate is not signed by its own key")
	}
	seen := map[string]bool{}
	var digest []byte
	for _, e := range c.Extensions {
		if seen[e.Id.String()] {
			return final(rejected, "the challenge certificate has the extension %s twice", e.Id)
		}
		seen[e.Id.String()] = true
		switch {
		case e.Id.Equal(obsoleteIdentifier):
			return final(rejected, "the challenge certificate has the extension of an early draft (%s); the standard's is %s", e.Id, idPeACMEIdentifier)
		case e.Id.Equal(subjectAltName):
			if !oneName(e.Value) {
				return final(rejected, "the challenge certificate has to have exactly one name")
			}
		case e.Id.Equal(idPeACMEIdentifier):
			rest, err := asn1.Unmarshal(e.Value, &digest)
			if !e.Critical || err != nil || len(rest) > 0 || len(digest) != sha256.Size {
				return final(rejected, "the extension %s has to be critical and to hold 32 bytes", e.Id)
			}
		}
	}
	if !namesOnly(c, a.Identifier) {
		return final(rejected, "the challenge certificate is not for %s", a.Identifier.Value)
	}
	want := sha256.Sum256([]byte(a.keyAuthorization()))
	if subtle.ConstantTimeCompare(digest, want[:]) != 1 {
		return final(rejected, "the challenge certificate does not hold the key authorization of this challenge and account key")
	}
	return nil
}

// oneName reports whether a subject alternative name extension holds one name, of any kind:
// those that crypto/x509 does not know count, too.
func oneName(der []byte) bool {
	var names []asn1.RawValue
	rest, err := asn1.Unmarshal(der, &names)
	return err == nil && len(rest) == 0 && len(names) == 1
}

// namesOnly reports whether the one name of a certificate is the identifier.
func namesOnly(c *x509.Certificate, id Identifier) bool {
	if id.Type == "dns" {
		return len(c.DNSNames) == 1 && strings.EqualFold(c.DNSNames[0], id.Value)
	}
	want, err := netip.ParseAddr(id.Value)
	if err != nil || len(c.IPAddresses) != 1 {
		return false
	}
	got, ok := netip.AddrFromSlice(c.IPAddresses[0])
	return ok && got.Unmap() == want.Unmap()
}

// ServerName is what stands in the SNI extension, which has no form for addresses: for
// those it is the name of the reverse zone (RFC 8738, Section 6).
func ServerName(id Identifier) string {
	if id.Type == "dns" {
		return id.Value
	}
	ip, err := netip.ParseAddr(id.Value)
	if err != nil {
		return ""
	}
	ip = ip.Unmap()
	var parts []string
	if ip.Is4() {
		for _, b := range ip.AsSlice() {
			parts = append([]string{strconv.Itoa(int(b))}, parts...)
		}
		return strings.Join(parts, ".") + ".in-addr.arpa"
	}
	for _, nibble := range hex.EncodeToString(ip.AsSlice()) {
		parts = append([]string{string(nibble)}, parts...)
	}
	return strings.Join(parts, ".") + ".ip6.arpa"
}
