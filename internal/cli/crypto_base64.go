package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
)

// encodedText is data in base64.
type encodedText struct {
	Encoded string `json:"encoded" help:"the data in base64"`
}

func (e *encodedText) Text() string { return e.Encoded }

func base64Command() *command {
	var decode, url, raw bool
	return &command{
		short: "encode or decode base64",
		long: `Encodes its arguments, joined with blanks, or else standard input. Decoding takes all four
			variants, whatever the flags, and ignores line ends.`,
		args: []arg{rest("text", "text to encode or decode; standard input without it")},
		examples: []example{
			{"Encode a file", "signet base64 < image.png"},
			{"Decode", "echo aGVsbG8= | signet base64 -d"},
		},
		flags: func(fs *flags) {
			fs.Bool(&decode, "decode", "decode instead of encoding").Alias("d")
			fs.Bool(&url, "url", "use the alphabet that is safe in URLs").Alias("u")
			fs.Bool(&raw, "raw", "leave out the padding").Alias("r")
		},
		result: &encodedText{},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			data := []byte(strings.Join(args, " "))
			if len(args) == 0 {
				var err error
				if data, err = env.readFile("-"); err != nil {
					return nil, err
				}
			}
			if decode {
				plain, err := decodeBase64(data)
				return orError(&bytesResult{plain}, err)
			}
			encoding := base64.StdEncoding
			if url {
				encoding = base64.URLEncoding
			}
			if raw {
				encoding = encoding.WithPadding(base64.NoPadding)
			}
			return &encodedText{encoding.EncodeToString(data)}, nil
		},
	}
}

func decodeBase64(data []byte) ([]byte, error) {
	text := string(bytes.Join(bytes.Fields(data), nil))
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if plain, err := encoding.DecodeString(text); err == nil {
			return plain, nil
		}
	}
	return nil, errors.New("that is not base64")
}
