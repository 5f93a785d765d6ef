package cli

import (
	"fmt"
	"math/big"
	"strings"
)

// maxSerialText bounds a serial number as text; 20 octets take 49 decimal digits.
const maxSerialText = 64

// parseSerial reads the serial number of a certificate: decimal, or hexadecimal after 0x.
func parseSerial(s string) (*big.Int, error) {
	digits, base := s, 10
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		digits, base = hex, 16
	}
	n := new(big.Int)
	ok := len(s) <= maxSerialText && !strings.ContainsAny(digits, "+-_")
	if ok {
		_, ok = n.SetString(digits, base)
	}
	if !ok || n.Sign() <= 0 {
		return nil, fmt.Errorf("%.80q is not a serial number; it must be a positive number, decimal or hexadecimal after 0x", s)
	}
	return n, nil
}

// decimalSerial is a serial number as tokens and requests have it.
func decimalSerial(s string) (string, error) {
	n, err := parseSerial(s)
	if err != nil {
		return "", err
	}
	return n.String(), nil
}
