package issue

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"

	"github.com/signet-ca/signet/internal/keys"
)

// x509Functions and sshFunctions are the functions of the two kinds of templates, before
// wrapping. Nobody changes the maps.
var (
	x509Functions = sync.OnceValue(func() template.FuncMap {
		funcs := commonFunctions()
		addASN1Functions(funcs)
		return funcs
	})
	sshFunctions = sync.OnceValue(commonFunctions)
)

// commonFunctions are sprig's text functions without those that look outside, and ours.
func commonFunctions() template.FuncMap {
	funcs := sprig.TxtFuncMap()
	for name := range removed {
		delete(funcs, name)
	}
	// Built-in functions are named here so that they are wrapped like the others.
	funcs["print"] = func(args ...any) string { return fmt.Sprint(args...) }
	funcs["println"] = func(args ...any) string { return fmt.Sprintln(args...) }
	funcs["printf"] = func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	funcs["html"] = func(args ...any) string { return template.HTMLEscaper(args...) }
	funcs["js"] = func(args ...any) string { return template.JSEscaper(args...) }
	funcs["urlquery"] = func(args ...any) string { return template.URLQueryEscaper(args...) }

	funcs["fail"] = func(words string) (string, error) { return "", &refusal{words} }
	// Sprig draws these two from a source that can be foretold.
	funcs["randInt"] = randomInt
	funcs["shuffle"] = shuffle
	addTimeFunctions(funcs)

	funcs["hex"] = func(b string) string { return hex.EncodeToString([]byte(b)) }
	funcs["fromHex"] = fromHex
	funcs["sha256"] = func(b string) string {
		sum := sha256.Sum256([]byte(b))
		return string(sum[:])
	}
	funcs["isDNS"] = isDNSName
	funcs["isIP"] = func(s string) bool { _, err := netip.ParseAddr(s); return err == nil }
	funcs["isEmail"] = isMailbox
	funcs["isURI"] = func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "")
	}
	funcs["splitSANs"] = splitSANs
	funcs["jwkThumbprint"] = jwkThumbprint
	return funcs
}

// lookUpHost is getHostByName where the operator allows it: one address of a name, or "".
func lookUpHost(name string) string {
	ctx, stop := context.WithTimeout(context.Background(), runLimits.time)
	defer stop()
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil || len(addrs) == 0 {
		return ""
	}
	return addrs[0]
}

func randomInt(low, high int) (int, error) {
	if high <= low {
		return 0, fmt.Errorf("there is no number from %d up to %d", low, high)
	}
	n, err := rand.Int(rand.Reader, new(big.Int).Sub(big.NewInt(int64(high)), big.NewInt(int64(low))))
	if err != nil {
		return 0, err
	}
	return low + int(n.Int64()), nil
}

func shuffle(s string) (string, error) {
	runes := []rune(s)
	for i := len(runes) - 1; i > 0; i-- {
		j, err := randomInt(0, i+1)
		if err != nil {
			return "", err
		}
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes), nil
}

func fromHex(s string) (string, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil {
		return "", errors.New("the text is not hexadecimal")
	}
	return string(b), nil
}

func isDNSName(s string) bool {
	_, err := dnsName(s)
	return err == nil
}

func isMailbox(s string) bool {
	local, host, ok := cutLast(s, "@")
	return ok && local != "" && !strings.ContainsAny(local, "@ \"<>,;") && isDNSName(host) && !strings.HasPrefix(host, "*")
}

// splitSANs sorts names into the form of .SANs.
func splitSANs(list any) ([]SAN, error) {
	names, err := stringList(list)
	if err != nil {
		return nil, err
	}
	return SANsOf(NamesOf(names)), nil
}

func stringList(list any) ([]string, error) {
	switch l := list.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{l}, nil
	case []string:
		return l, nil
	case []any:
		out := make([]string, len(l))
		for i, v := range l {
			s, ok := v.(string)
			if !ok {
				return nil, fmt.Errorf("element %d of the list is no text", i)
			}
			out[i] = s
		}
		return out, nil
	}
	return nil, fmt.Errorf("%T is no list of texts", list)
}

// jwkThumbprint is the RFC 7638 thumbprint of a public key.
func jwkThumbprint(key crypto.PublicKey) (string, error) {
	jwk, err := keys.NewJWK(key)
	if err != nil {
		return "", errors.New("the value is no public key")
	}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errors.New("the value is no public key")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

func addTimeFunctions(funcs template.FuncMap) {
	funcs["toTime"] = toTime
	funcs["formatTime"] = func(v any) string { return toTime(v).Format(time.RFC3339) }
	funcs["parseTime"] = func(args ...string) time.Time {
		t, err := parseTime(args)
		if err != nil {
			return time.Time{}
		}
		return t
	}
	funcs["mustParseTime"] = func(args ...string) (time.Time, error) { return parseTime(args) }
	funcs["toTimeLayout"] = timeLayout
}

// toTime reads a time or seconds since 1970, such as the times of a token. Anything else is
// now, as existing templates expect.
func toTime(v any) time.Time {
	switch t := v.(type) {
	case time.Time:
		return t.UTC()
	case interface{ Time() time.Time }: // the numeric dates of JOSE libraries
		return t.Time().UTC()
	case int:
		return time.Unix(int64(t), 0).UTC()
	case int32:
		return time.Unix(int64(t), 0).UTC()
	case int64:
		return time.Unix(t, 0).UTC()
	case float64:
		return time.Unix(int64(t), 0).UTC()
	case interface{ Int64() (int64, error) }: // json.Number
		if n, err := t.Int64(); err == nil {
			return time.Unix(n, 0).UTC()
		}
	}
	return time.Now().UTC()
}

// parseTime reads nothing (now), a RFC 3339 text, or a layout, a text and a time zone.
func parseTime(args []string) (time.Time, error) {
	switch len(args) {
	case 0:
		return time.Now().UTC(), nil
	case 1:
		return time.Parse(time.RFC3339, args[0])
	case 2:
		return time.Parse(timeLayout(args[0]), args[1])
	case 3:
		zone, err := time.LoadLocation(args[2])
		if err != nil {
			return time.Time{}, err
		}
		return time.ParseInLocation(timeLayout(args[0]), args[1], zone)
	}
	return time.Time{}, fmt.Errorf("a layout, a time and a time zone are the most, not %d arguments", len(args))
}

var timeLayouts = map[string]string{
	"layout": time.Layout, "ansic": time.ANSIC, "unixdate": time.UnixDate, "rubydate": time.RubyDate,
	"rfc822": time.RFC822, "rfc822z": time.RFC822Z, "rfc850": time.RFC850,
	"rfc1123": time.RFC1123, "rfc1123z": time.RFC1123Z,
	"rfc3339": time.RFC3339, "rfc3339nano": time.RFC3339Nano, "kitchen": time.Kitchen,
	"stamp": time.Stamp, "stampmilli": time.StampMilli, "stampmicro": time.StampMicro, "stampnano": time.StampNano,
	"datetime": time.DateTime, "dateonly": time.DateOnly, "timeonly": time.TimeOnly,
}

// timeLayout finds a layout by the name of its Go constant; any other text is a layout.
func timeLayout(name string) string {
	if layout, ok := timeLayouts[strings.TrimPrefix(strings.ToLower(name), "time.")]; ok {
		return layout
	}
	return name
}
