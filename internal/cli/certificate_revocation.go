package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/signet-ca/signet/internal/inspect"
)

// clockSkew is how far the clocks of others may be ahead of ours.
const clockSkew = 5 * time.Minute

// checkCRL looks for a certificate in its revocation list. One list that was read and
// checked is enough; where there are several, one that can't be had is passed over.
func (f *verifyFlags) checkCRL(ctx context.Context, env *Env, leaf, issuer *x509.Certificate) error {
	urls := webAddresses(leaf.CRLDistributionPoints)
	if f.crlURL != "" {
		urls = []string{f.crlURL}
	}
	if len(urls) == 0 {
		return errors.New("the certificate doesn't say where its revocation list is; give --crl-endpoint")
	}
	var failures []error
	for _, url := range urls {
		list, err := f.server.revocationList(ctx, url)
		if err == nil {
			err = checkList(list, leaf, issuer, env.Now())
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("revocation list %s: %w", url, err))
			continue
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(leaf.SerialNumber) == 0 && entry.ReasonCode != removeFromCRL {
				return fmt.Errorf("the certificate was revoked at %s (%s)", entry.RevocationTime.UTC().Format(time.RFC3339), inspect.ReasonName(entry.ReasonCode))
			}
		}
		return nil
	}
	return errors.Join(failures...)
}

const removeFromCRL = 8 // RFC 5280, Section 5.3.1: only in delta lists, takes back a hold

func webAddresses(list []string) []string {
	var urls []string
	for _, s := range list {
		if lower := strings.ToLower(s); strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") {
			urls = append(urls, s)
		}
	}
	return urls
}

// revocationList fetches a list.
func (s *serverFlags) revocationList(ctx context.Context, url string) (*x509.RevocationList, error) {
	data, err := s.download(ctx, download{url: url, limit: maxInput})
	if err != nil {
		return nil, err
	}
	return parseRevocationList(data)
}

// parseRevocationList reads a list from PEM or DER.
func parseRevocationList(data []byte) (*x509.RevocationList, error) {
	der := data
	if block, rest := pem.Decode(data); block != nil {
		for block != nil && block.Type != "X509 CRL" {
			block, rest = pem.Decode(rest)
		}
		if block == nil {
			return nil, errors.New("there is no revocation list among the PEM blocks")
		}
		der = block.Bytes
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("the revocation list is malformed: %w", err)
	}
	return list, nil
}

// checkList reports why a revocation list says nothing about a certificate: it is of
// another issuer, too old, or does not cover it (RFC 5280, Section 6.3.3).
func checkList(list *x509.RevocationList, leaf, issuer *x509.Certificate, now time.Time) error {
	if err := checkListIssuer(list, issuer); err != nil {
		return err
	}
	switch {
	case list.ThisUpdate.After(now.Add(clockSkew)):
		return fmt.Errorf("it is of %s, which is still to come", list.ThisUpdate.UTC().Format(time.RFC3339))
	case list.NextUpdate.IsZero():
		return errors.New("it doesn't say how long it is good")
	case list.NextUpdate.Before(now):
		return fmt.Errorf("it is too old: the next one was due at %s", list.NextUpdate.UTC().Format(time.RFC3339))
	}
	for _, ext := range list.Extensions {
		switch {
		case ext.Id.String() == "2.5.29.28":
			if err := checkScope(ext.Value, leaf); err != nil {
				return err
			}
		case ext.Critical:
			return fmt.Errorf("it has the critical extension %s, which is not understood here", ext.Id)
		}
	}
	return nil
}

func checkListIssuer(list *x509.RevocationList, issuer *x509.Certificate) error {
	if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("it is of %q, not of %q", list.Issuer, issuer.Subject)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("its signature is not that of %q: %w", issuer.Subject, err)
	}
	return nil
}

// checkScope reads the issuing distribution point (RFC 5280, Section 5.2.5), which may
// narrow a list down to some certificates.
func checkScope(der cryptobyte.String, leaf *x509.Certificate) error {
	broken := errors.New("its issuing distribution point can't be read")
	var seq cryptobyte.String
	if !der.ReadASN1(&seq, asn1.SEQUENCE) || !der.Empty() {
		return broken
	}
	for !seq.Empty() {
		var value cryptobyte.String
		var tag asn1.Tag
		if !seq.ReadAnyASN1(&value, &tag) {
			return broken
		}
		on := len(value) == 1 && value[0] != 0
		switch tag & 0x1f {
		case 0:
			if names := pointNames(value); len(names) > 0 && len(leaf.CRLDistributionPoints) > 0 &&
				!slices.ContainsFunc(names, func(s string) bool { return slices.Contains(leaf.CRLDistributionPoints, s) }) {
				return errors.New("it is one of several lists, and not the one of this certificate")
			}
		case 1:
			if on && leaf.IsCA {
				return errors.New("it doesn't cover certificates of CAs")
			}
		case 2:
			if on && !leaf.IsCA {
				return errors.New("it covers only certificates of CAs")
			}
		case 3:
			return errors.New("it covers only some of the reasons to revoke")
		default: // indirect lists, attribute certificates
			if on {
				return errors.New("it is of a kind that is not understood here")
			}
		}
	}
	return nil
}

// pointNames are the URIs of [0] { fullName [0] { uniformResourceIdentifier [6] ... } }.
func pointNames(point cryptobyte.String) []string {
	var full cryptobyte.String
	if !point.ReadASN1(&full, asn1.Tag(0).ContextSpecific().Constructed()) {
		return nil
	}
	var names []string
	for !full.Empty() {
		var value cryptobyte.String
		var tag asn1.Tag
		if !full.ReadAnyASN1(&value, &tag) {
			return names
		}
		if tag == asn1.Tag(6).ContextSpecific() {
			names = append(names, string(value))
		}
	}
	return names
}

// checkOCSP asks a responder about a certificate (RFC 6960).
func (f *verifyFlags) checkOCSP(ctx context.Context, env *Env, leaf, issuer *x509.Certificate) error {
	urls := webAddresses(leaf.OCSPServer)
	if f.ocspURL != "" {
		urls = []string{f.ocspURL}
	}
	if len(urls) == 0 {
		return errors.New("the certificate doesn't name an OCSP responder; give --ocsp-endpoint")
	}
	// RFC 5019, Section 2.1.1: responders in the field know certificates by SHA-1.
	question, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return fmt.Errorf("make an OCSP request: %w", err)
	}
	var failures []error
	for _, url := range urls {
		data, err := f.server.download(ctx, download{url: url, kind: "application/ocsp-request", body: question, limit: maxOCSPResponse})
		if err == nil {
			var answer *ocsp.Response
			if answer, err = parseOCSP(data, leaf, issuer, env.Now()); err == nil {
				return judge(answer)
			}
		}
		failures = append(failures, fmt.Errorf("OCSP responder %s: %w", url, err))
	}
	return errors.Join(failures...)
}

// parseOCSP reads an answer and checks who signed it and when.
func parseOCSP(data []byte, leaf, issuer *x509.Certificate, now time.Time) (*ocsp.Response, error) {
	answer, err := ocsp.ParseResponseForCert(data, leaf, issuer)
	if err != nil {
		return nil, err
	}
	if c := answer.Certificate; c != nil && !c.Equal(issuer) {
		// RFC 6960, Section 4.2.2.2: the issuer must have named the responder as such, or
		// every holder of a certificate could answer for all others.
		if !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
			return nil, fmt.Errorf("the answer is signed by %q, which may not sign answers", c.Subject)
		}
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return nil, fmt.Errorf("the answer is signed by %q, whose certificate is not valid now", c.Subject)
		}
	}
	switch {
	case answer.ThisUpdate.After(now.Add(clockSkew)):
		return nil, fmt.Errorf("the answer is of %s, which is still to come", answer.ThisUpdate.UTC().Format(time.RFC3339))
	case !answer.NextUpdate.IsZero() && answer.NextUpdate.Before(now):
		return nil, fmt.Errorf("the answer is too old: it was good until %s", answer.NextUpdate.UTC().Format(time.RFC3339))
	}
	return answer, nil
}

func judge(answer *ocsp.Response) error {
	switch answer.Status {
	case ocsp.Good:
		return nil
	case ocsp.Revoked:
		return fmt.Errorf("the certificate was revoked at %s (%s)", answer.RevokedAt.UTC().Format(time.RFC3339), inspect.ReasonName(answer.RevocationReason))
	}
	return errors.New("the OCSP responder doesn't know the certificate")
}
