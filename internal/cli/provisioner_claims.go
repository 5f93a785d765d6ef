package cli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// commonFlags are the flags that every kind of provisioner has: claims and templates. An
// empty value takes the member out of the configuration.
type commonFlags struct {
	durations map[string]*string // by flag
	switches  map[string]*bool   // by flag
	ssh       bool
	templates map[string]*string // by flag
}

// commonFlag is a flag and the member it sets.
type commonFlag struct{ flag, section, member, usage string }

// claimDurations are the lifetimes, by flag.
var claimDurations = []commonFlag{
	{"x509-min-dur", "claims", "minTLSCertDuration", "shortest X.509 certificate"},
	{"x509-max-dur", "claims", "maxTLSCertDuration", "longest X.509 certificate"},
	{"x509-default-dur", "claims", "defaultTLSCertDuration", "X.509 certificate when nothing is asked"},
	{"ssh-user-min-dur", "claims", "minUserSSHCertDuration", "shortest SSH user certificate"},
	{"ssh-user-max-dur", "claims", "maxUserSSHCertDuration", "longest SSH user certificate"},
	{"ssh-user-default-dur", "claims", "defaultUserSSHCertDuration", "SSH user certificate when nothing is asked"},
	{"ssh-host-min-dur", "claims", "minHostSSHCertDuration", "shortest SSH host certificate"},
	{"ssh-host-max-dur", "claims", "maxHostSSHCertDuration", "longest SSH host certificate"},
	{"ssh-host-default-dur", "claims", "defaultHostSSHCertDuration", "SSH host certificate when nothing is asked"},
}

// claimSwitches are the switches, by flag.
var claimSwitches = []commonFlag{
	{"disable-renewal", "claims", "disableRenewal", "do not renew certificates"},
	{"allow-renewal-after-expiry", "claims", "allowRenewalAfterExpiry", "renew certificates that have expired"},
	{"disable-smallstep-extensions", "claims", "disableSmallstepExtensions", "leave the provisioner out of certificates"},
}

// templateMembers put a template or its data into options.x509 or options.ssh.
var templateMembers = []commonFlag{
	{"x509-template", "x509", "template", "template of X.509 certificates, from `file`"},
	{"x509-template-data", "x509", "templateData", "JSON data for that template, from `file`"},
	{"ssh-template", "ssh", "template", "template of SSH certificates, from `file`"},
	{"ssh-template-data", "ssh", "templateData", "JSON data for that template, from `file`"},
}

func (c *commonFlags) register(fs *flags) {
	c.durations, c.switches, c.templates = map[string]*string{}, map[string]*bool{}, map[string]*string{}
	for _, d := range claimDurations {
		c.durations[d.flag] = new(string)
		fs.String(c.durations[d.flag], d.flag, "duration", d.usage+", such as 24h").NoEnv()
	}
	for _, s := range claimSwitches {
		c.switches[s.flag] = new(bool)
		fs.Bool(c.switches[s.flag], s.flag, s.usage).NoEnv()
	}
	c.ssh = true
	fs.Bool(&c.ssh, "ssh", "sign SSH certificates, too").NoEnv()
	for _, t := range templateMembers {
		c.templates[t.flag] = new(string)
		fs.String(c.templates[t.flag], t.flag, "file", t.usage).NoEnv()
	}
}

// apply puts into a provisioner what stands on the command line, and nothing else.
func (c *commonFlags) apply(env *Env, o *jsonObject) error {
	err := o.within("claims", func(claims *jsonObject) error {
		for _, d := range claimDurations {
			if err := applyDuration(env, claims, &d, *c.durations[d.flag]); err != nil {
				return err
			}
		}
		for _, s := range claimSwitches {
			if env.Typed(s.flag) {
				claims.set(s.member, *c.switches[s.flag])
			}
		}
		if env.Typed("ssh") {
			claims.set("enableSSHCA", c.ssh)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return o.within("options", func(options *jsonObject) error {
		for _, t := range templateMembers {
			err := options.within(t.section, func(section *jsonObject) error {
				return applyTemplate(env, section, &t, *c.templates[t.flag])
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func applyDuration(env *Env, claims *jsonObject, d *commonFlag, value string) error {
	if !env.Typed(d.flag) {
		return nil
	}
	if value == "" {
		claims.remove(d.member)
		return nil
	}
	length, err := time.ParseDuration(value)
	if err != nil {
		return errValue(d.flag, value, "a duration such as 20m or 36h")
	}
	claims.set(d.member, length.String())
	return nil
}

// applyTemplate embeds a file, so that the configuration needs nothing else. Text that does
// not begin like a template's JSON is stored as base64, which the server takes apart again.
func applyTemplate(env *Env, section *jsonObject, t *commonFlag, file string) error {
	member := t.member
	if !env.Typed(t.flag) {
		return nil
	}
	if member == "template" {
		section.remove("templateFile")
	}
	if file == "" {
		section.remove(member)
		return nil
	}
	data, err := env.readFile(file)
	if err != nil {
		return err
	}
	if member == "templateData" {
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil {
			return errors.Join(fmt.Errorf("%s must hold a JSON object", file), err)
		}
		section.put(member, data)
		return nil
	}
	text := string(data)
	if !startsLikeTemplate(text) {
		text = base64.StdEncoding.EncodeToString(data)
	}
	section.set(member, text)
	return nil
}

func startsLikeTemplate(text string) bool {
	for _, r := range text {
		switch r {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return r == '{'
	}
	return false
}
