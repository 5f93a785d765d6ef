package issue

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/fault"
)

// maxChallenge bounds a challenge password: RFC 2985, Section 5.4.1 and pkcs-9-ub-challengePassword.
const maxChallenge = 255

var oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}

// SignChallenged is SignRequest with a challenge password, by which a CA or a SCEP server
// knows the asker; without one it is the same. crypto/x509 writes no such attribute, so the
// request is made without it, and signed again with it.
func SignChallenged(cert *x509.Certificate, challenge string, key crypto.Signer) ([]byte, error) {
	der, err := SignRequest(cert, key)
	if err != nil || challenge == "" {
		return der, err
	}
	attribute, err := challengeAttribute(challenge)
	if err != nil {
		return nil, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read back the signing request: %w", err)
	}
	body, err := addAttribute(request.RawTBSCertificateRequest, attribute)
	if err != nil {
		return nil, err
	}
	return signBody(request, body, key)
}

// challengeAttribute encodes the attribute: PrintableString where the characters allow, else
// UTF8String. What it complains of, it does not show.
func challengeAttribute(challenge string) ([]byte, error) {
	switch {
	case !utf8.ValidString(challenge):
		return nil, fault.New(fault.Invalid, "the challenge password is not valid UTF-8")
	case utf8.RuneCountInString(challenge) > maxChallenge:
		return nil, fault.New(fault.Invalid, "the challenge password has %d characters; %d is the most", utf8.RuneCountInString(challenge), maxChallenge)
	}
	return asn1.Marshal(struct {
		ID     asn1.ObjectIdentifier
		Values []string `asn1:"set"`
	}{oidChallengePassword, []string{challenge}})
}

// addAttribute puts an attribute among those of the part of a request that is signed
// (RFC 2986, Section 4.1). A SET OF is sorted by encoding: X.690, Section 11.6.
func addAttribute(body, attribute []byte) ([]byte, error) {
	whole := cryptobyte.String(body)
	var in, version, subject, key, set cryptobyte.String
	if !whole.ReadASN1(&in, cbasn1.SEQUENCE) || !in.ReadASN1Element(&version, cbasn1.INTEGER) ||
		!in.ReadASN1Element(&subject, cbasn1.SEQUENCE) || !in.ReadASN1Element(&key, cbasn1.SEQUENCE) ||
		!in.ReadASN1(&set, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return nil, errors.New("the signing request has another form than it was made in")
	}
	all := [][]byte{attribute}
	for !set.Empty() {
		var other cryptobyte.String
		if !set.ReadASN1Element(&other, cbasn1.SEQUENCE) {
			return nil, errors.New("the signing request has an attribute of another form")
		}
		all = append(all, other)
	}
	slices.SortFunc(all, bytes.Compare)
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(slices.Concat(version, subject, key))
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(all...)) })
	})
	return b.Bytes()
}

// signBody signs the body of a request as the request itself is signed.
func signBody(request *x509.CertificateRequest, body []byte, key crypto.Signer) ([]byte, error) {
	opts, ok := requestSigning[request.SignatureAlgorithm]
	if !ok {
		return nil, fmt.Errorf("a signing request with a challenge password can't be signed by %s", request.SignatureAlgorithm)
	}
	signature, err := crypto.SignMessage(key, rand.Reader, body, opts)
	if err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	whole := cryptobyte.String(request.Raw)
	var in, algorithm cryptobyte.String
	if !whole.ReadASN1(&in, cbasn1.SEQUENCE) || !in.SkipASN1(cbasn1.SEQUENCE) || !in.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil, errors.New("the signing request has another form than it was made in")
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(slices.Concat(body, algorithm))
		b.AddASN1BitString(signature)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	made, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read back the signing request: %w", err)
	}
	return der, made.CheckSignature()
}

// requestSigning is how the algorithms of requests sign.
var requestSigning = map[x509.SignatureAlgorithm]crypto.SignerOpts{
	x509.SHA256WithRSA: crypto.SHA256, x509.SHA384WithRSA: crypto.SHA384, x509.SHA512WithRSA: crypto.SHA512,
	x509.SHA256WithRSAPSS: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256},
	x509.SHA384WithRSAPSS: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA384},
	x509.SHA512WithRSAPSS: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512},
	x509.ECDSAWithSHA256:  crypto.SHA256, x509.ECDSAWithSHA384: crypto.SHA384, x509.ECDSAWithSHA512: crypto.SHA512,
	x509.PureEd25519: crypto.Hash(0),
}
