package cli

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/provisioner"
)

// acmeWays are the flags that say how a certificate is got by ACME: where, and how the names are proved.
type acmeWays struct {
	directory  string
	standalone bool
	webroot    string
	httpListen string
	tlsALPN    bool
	tlsListen  string
	dnsHook    string
	dnsWait    time.Duration
	dnsType    string
	contacts   []string
	eabKeyID   string
	eabHMACKey string
	profile    string
}

// acmeOwn are the flags that mean ACME wherever they are given.
var acmeOwn = []string{"acme", "standalone", "webroot", "tls-alpn", "dns-hook", "acme-profile", "eab-key-id"}

func (a *acmeWays) register(fs *flags) {
	a.httpListen, a.tlsListen, a.dnsType = ":80", ":443", "dns-01"
	fs.String(&a.directory, "acme", "url", "directory of the ACME server to get the certificate from")
	fs.Bool(&a.standalone, "standalone", "prove the names by http-01, answered by this command; the default with ACME").NoEnv()
	fs.String(&a.webroot, "webroot", "dir", "prove the names by http-01, answered by the web server that serves this directory")
	fs.String(&a.httpListen, "http-listen", "address", "where --standalone listens")
	fs.Bool(&a.tlsALPN, "tls-alpn", "prove the names by tls-alpn-01, answered by this command").NoEnv()
	fs.String(&a.tlsListen, "tls-listen", "address", "where --tls-alpn listens")
	fs.String(&a.dnsHook, "dns-hook", "command", "prove the names by DNS: command that adds and removes the TXT records, see above")
	fs.Duration(&a.dnsWait, "dns-wait", "how long to wait between adding the records and asking the server to look")
	fs.Enum(&a.dnsType, "dns-challenge", []string{"dns-01", "dns-account-01", "dns-persist-01"}, "challenge that --dns-hook answers; dns-persist-01 needs no --dns-hook where the record stands already")
	fs.Strings(&a.contacts, "contact", "email", "address of whoever looks after the ACME account")
	fs.String(&a.eabKeyID, "eab-key-id", "id", "key ID of an external account binding, for servers that ask for one")
	fs.String(&a.eabHMACKey, "eab-hmac-key", "key", "its key in base64, or file:PATH")
	fs.String(&a.profile, "acme-profile", "name", "profile to ask the ACME server for")
	fs.Exclusive("standalone", "webroot")
	fs.Together("eab-key-id", "eab-hmac-key")
	for _, name := range acmeOwn {
		fs.Incompatible(name, "token", "offline")
	}
	fs.Check(func(func(string) bool) error {
		if _, err := splitCommand(a.dnsHook); err != nil {
			return usagef("invalid value %q for flag --dns-hook: %v", a.dnsHook, err)
		}
		for flag, address := range map[string]string{"http-listen": a.httpListen, "tls-listen": a.tlsListen} {
			if _, _, err := net.SplitHostPort(address); err != nil {
				return errValue(flag, address)
			}
		}
		if u, err := url.Parse(a.directory); a.directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
			return usagef("invalid value %q for flag --acme: the https address of a directory is needed", a.directory)
		}
		return nil
	})
}

// acmeHelp is the part of a command's help that is about ACME.
const acmeHelp = `With --acme, or if the provisioner is of type ACME, the names are proved to the server by ACME (RFC 8555) instead of a token:
	by default this command listens on port 80 for the server to ask; --webroot leaves that to a web server,
	--tls-alpn listens on port 443, and --dns-hook proves by DNS, which wildcard names need. The account's key is
	kept in the home.

	The command in --dns-hook is run without a shell, with SIGNET_ACME_ACTION (present or cleanup), SIGNET_ACME_RECORD (name of
	the TXT record), SIGNET_ACME_VALUE (its text) and SIGNET_ACME_NAME (name to prove) in its environment. The record of
	dns-persist-01 stays: it is shown before the server looks for it, and the command is never asked to remove it.`

// wanted reports whether a flag says that the certificate comes by ACME.
func (a *acmeWays) wanted(env *Env) bool { return slices.ContainsFunc(acmeOwn, env.Given) }

// eab is the external account binding; ok is false if there is none.
func (a *acmeWays) eab() (id, key string, ok bool, err error) {
	if a.eabKeyID == "" {
		return "", "", false, nil
	}
	key = a.eabHMACKey
	if file, isFile := strings.CutPrefix(key, "file:"); isFile {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", "", false, fmt.Errorf("read the key of the external account binding: %w", err)
		}
		key = strings.TrimSpace(string(data))
	}
	// Some servers hand out the other alphabet of base64, or padding.
	key = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(key), "=")
	if _, err := base64.RawURLEncoding.DecodeString(key); err != nil || key == "" {
		return "", "", false, usagef("the value of flag --eab-hmac-key is not base64")
	}
	return a.eabKeyID, key, true, nil
}

// byACME finds the ACME provisioner that the flags speak of; nil: it is not about ACME.
func (f *proofFlags) byACME(env *Env, source *authority, wanted bool) (*provisioner.Provisioner, error) {
	var left []*provisioner.Provisioner
	for _, p := range source.provisioners {
		if f.provisioner == "" || p.Name == f.provisioner {
			left = append(left, p)
		}
	}
	isACME := func(p *provisioner.Provisioner) bool { return strings.EqualFold(p.Type, "ACME") }
	if wanted {
		left = slices.DeleteFunc(left, func(p *provisioner.Provisioner) bool { return !isACME(p) })
		if len(left) != 1 {
			return nil, fmt.Errorf("the CA has %d provisioners of type ACME that fit; choose one with --provisioner, or a server with --acme", len(left))
		}
	}
	if len(left) != 1 || !isACME(left[0]) {
		return nil, nil
	}
	env.Done("Provisioner", "%s", printable(label(left[0])))
	return left[0], nil
}
