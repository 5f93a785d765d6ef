package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/signet-ca/signet/internal/keys"
)

// Bounds of 'crypto rand'. A prime of more bits takes minutes to find.
const (
	randLength   = 32
	maxRand      = 1 << 20
	maxPrimeBits = 8192
	randWords    = 6
	maxRandWords = 1024
)

const (
	lowerLetters = "abcdefghijklmnopqrstuvwxyz"
	upperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digitChars   = "0123456789"
)

// randAlphabets are the formats that draw each character evenly from an alphabet.
var randAlphabets = map[string]string{
	"ascii":        printableASCII(),
	"alphanumeric": upperLetters + lowerLetters + digitChars,
	"alphabet":     upperLetters + lowerLetters,
	"hex":          "0123456789abcdef",
	"dec":          digitChars,
	"lower":        lowerLetters,
	"upper":        upperLetters,
	"die":          "123456",
}

// printableASCII is every character from ! to ~: blanks get lost when people copy.
func printableASCII() string {
	var b strings.Builder
	for c := byte('!'); c <= '~'; c++ {
		b.WriteByte(c)
	}
	return b.String()
}

// randResult is random text.
type randResult struct {
	Value string `json:"value" help:"the random text"`
}

func (r *randResult) Text() string { return r.Value }

func cryptoRand() *command {
	f := struct{ format, dictionary string }{format: "ascii"}
	return &command{
		short: "print random text",
		long: `Prints random text from the system's secure source.

			With --format prime the length is in bits, and with uuid there is none. With --dictionary it is
			the number of words.`,
		args: []arg{may("length", "number of characters, 32 without it")},
		examples: []example{
			{"Make a password", "signet crypto rand 24 --format alphanumeric"},
			{"Make a passphrase", "signet crypto rand --dictionary /usr/share/dict/words"},
		},
		flags: func(fs *flags) {
			options := []string{"ascii", "alphanumeric", "alphabet", "hex", "dec", "lower", "upper", "emoji", "raw", "die", "prime", "uuid"}
			fs.Enum(&f.format, "format", options, "form of the text")
			fs.String(&f.dictionary, "dictionary", "file", "join random words from `file`, one a line, with hyphens").Alias("dict")
			fs.Exclusive("format", "dictionary")
		},
		result: &randResult{},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			length, limit := randLength, maxRand
			switch {
			case f.dictionary != "":
				length, limit = randWords, maxRandWords
			case f.format == "prime":
				limit = maxPrimeBits
			}
			if len(args) > 0 {
				n, err := strconv.Atoi(args[0])
				if err != nil || n < 1 || n > limit {
					return nil, usagef("the length must be a number from 1 to %d", limit)
				}
				length = n
			}
			if f.dictionary != "" {
				return orError(randomWords(env, f.dictionary, length))
			}
			if f.format == "raw" {
				raw := make([]byte, length)
				_, _ = rand.Read(raw) // never fails
				return &bytesResult{raw}, nil
			}
			return orError(randomText(f.format, length))
		},
	}
}

func randomText(format string, length int) (*randResult, error) {
	switch format {
	case "emoji":
		raw := make([]byte, length)
		_, _ = rand.Read(raw)
		text, err := keys.FormatFingerprint(raw, "emoji")
		return &randResult{text}, err
	case "prime":
		if length < 2 {
			return nil, usagef("a prime has at least 2 bits")
		}
		p, err := rand.Prime(rand.Reader, length)
		if err != nil {
			return nil, err
		}
		return &randResult{p.String()}, nil
	case "uuid":
		return &randResult{randomUUID()}, nil
	}
	return &randResult{keys.RandomFrom(randAlphabets[format], length)}, nil
}

// randomUUID is RFC 9562, Section 5.4: version 4.
func randomUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	s := hex.EncodeToString(u[:])
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

func randomWords(env *Env, file string, n int) (*randResult, error) {
	data, err := env.readFile(file)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("dictionary %s is not UTF-8 text", file)
	}
	var words []string
	for line := range strings.Lines(string(data)) {
		if word := strings.TrimSpace(line); word != "" {
			words = append(words, word)
		}
	}
	if len(words) < 2 {
		return nil, fmt.Errorf("dictionary %s holds too few words", file)
	}
	chosen := make([]string, n)
	for i := range chosen {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
		if err != nil {
			return nil, err
		}
		chosen[i] = words[k.Int64()]
	}
	return &randResult{strings.Join(chosen, "-")}, nil
}
