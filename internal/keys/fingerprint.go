package keys

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/signet-ca/signet/internal/fault"
)

// FingerprintFormats are the ways a digest can be shown.
var FingerprintFormats = []string{"hex", "base64", "base64-url", "base64-raw", "base64-url-raw", "emoji"}

// FormatFingerprint shows a digest in one of FingerprintFormats; "" is hex.
func FormatFingerprint(digest []byte, format string) (string, error) {
	switch format {
	case "", "hex":
		return hex.EncodeToString(digest), nil
	case "base64":
		return base64.StdEncoding.EncodeToString(digest), nil
	case "base64-url":
		return base64.URLEncoding.EncodeToString(digest), nil
	case "base64-raw":
		return base64.RawStdEncoding.EncodeToString(digest), nil
	case "base64-url-raw":
		return base64.RawURLEncoding.EncodeToString(digest), nil
	case "emoji":
		var out strings.Builder
		for _, b := range digest {
			out.WriteRune(emoji(b))
		}
		return out.String(), nil
	}
	return "", fault.New(fault.Invalid, "fingerprint format %q is unknown: use one of %s", format, strings.Join(FingerprintFormats, ", "))
}

// emojiRanges hold 256 pictures that stand alone on every screen: no flags, no skin tones, no
// characters that default to text. Their order is part of the format.
var emojiRanges = [][2]rune{
	{0x1F32D, 0x1F335}, {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393}, {0x1F3A0, 0x1F3CA}, {0x1F3CF, 0x1F3D3},
	{0x1F3E0, 0x1F3F0}, {0x1F3F8, 0x1F3FA}, {0x1F400, 0x1F43E}, {0x1F4A0, 0x1F4B7},
}

// emoji gives every byte a picture of its own.
func emoji(b byte) rune {
	n := rune(b)
	for _, r := range emojiRanges {
		if size := r[1] - r[0] + 1; n >= size {
			n -= size
			continue
		}
		return r[0] + n
	}
	return utf8.RuneError // the ranges hold 256
}

// ParseFingerprint reads a SHA-256 fingerprint in hex as people paste it: any case, with or
// without colons, dashes and blanks. It returns lower-case hex.
func ParseFingerprint(s string) (string, error) {
	clean := strings.ToLower(strings.NewReplacer(":", "", "-", "", " ", "").Replace(strings.TrimSpace(s)))
	raw, err := hex.DecodeString(clean)
	if err != nil || len(raw) != sha256.Size {
		return "", fault.New(fault.Invalid, "%q is no fingerprint: 64 hex digits are expected", s)
	}
	return clean, nil
}

// KeyFingerprint is "SHA256:" and the padded base64 SHA-256 of the key's bits, which is the
// subjectPublicKey alone and not the structure around it.
func KeyFingerprint(pub crypto.PublicKey) (string, error) {
	bits, err := PublicKeyBits(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(bits)
	return "SHA256:" + base64.StdEncoding.EncodeToString(sum[:]), nil
}
