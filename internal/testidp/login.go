package testidp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// grant is a login whose token waits to be fetched.
type grant struct {
	redirect, challenge, nonce string
	claims                     map[string]any
}

// device is a login that somebody makes on another device.
type device struct {
	polls int
	scope string
}

// pollsBefore is how often a device asks in vain.
const pollsBefore = 1

// authorize logs the user in at once and sends the browser back (RFC 6749, Section 4.1).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	host := ""
	if err == nil {
		host = back.Hostname()
	}
	switch {
	case q.Get("client_id") != Client, host != "127.0.0.1" && host != "localhost" && back.Scheme != "urn":
		http.Error(w, "no such client, or not its address", http.StatusBadRequest)
		return
	case q.Get("response_type") != "code", q.Get("code_challenge_method") != "S256", q.Get("code_challenge") == "", q.Get("state") == "", q.Get("nonce") == "":
		http.Error(w, "a code flow with PKCE, state and nonce is expected", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	g := &grant{redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce")}
	params := map[string]string{"code": code, "state": q.Get("state"), "iss": p.URL}
	p.change(func() {
		g.claims = maps.Clone(p.user)
		p.codes[code] = g
		if p.callback != nil {
			p.callback(params)
		}
	})
	if back.Scheme == "urn" {
		_, _ = w.Write([]byte(code + "\n"))
		return
	}
	query := back.Query()
	for name, value := range params {
		query.Set(name, value)
	}
	back.RawQuery = query.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token hands out what a login earned.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.PostForm.Get("client_id") != Client && r.PostForm.Get("assertion") == "" {
		refuse(w, "invalid_client", "no such client")
		return
	}
	form := r.PostForm
	switch form.Get("grant_type") {
	case "authorization_code":
		p.redeem(w, form)
	case "urn:ietf:params:oauth:grant-type:device_code":
		p.poll(w, form)
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		p.hand(w, map[string]any{"sub": "service"}, "")
	default:
		refuse(w, "unsupported_grant_type", "")
	}
}

func (p *Provider) redeem(w http.ResponseWriter, form url.Values) {
	var g *grant
	p.change(func() { // a code is good once
		g = p.codes[form.Get("code")]
		delete(p.codes, form.Get("code"))
	})
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case g == nil, g.redirect != form.Get("redirect_uri"):
		refuse(w, "invalid_grant", "no such code")
	case g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]):
		refuse(w, "invalid_grant", "the verifier does not fit")
	case form.Get("client_secret") != Secret:
		refuse(w, "invalid_client", "wrong secret")
	default:
		p.hand(w, g.claims, g.nonce)
	}
}

// device begins a login on another device (RFC 8628).
func (p *Provider) device(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.PostForm.Get("client_id") != Client {
		refuse(w, "invalid_client", "no such client")
		return
	}
	code, user := rand.Text(), rand.Text()[:8]
	p.change(func() { p.devices[code] = &device{scope: r.PostForm.Get("scope")} })
	write(w, http.StatusOK, map[string]any{"device_code": code, "user_code": user, "verification_uri": p.URL + "/activate", "expires_in": 60, "interval": 1})
}

func (p *Provider) poll(w http.ResponseWriter, form url.Values) {
	var d device
	var claims map[string]any
	p.change(func() {
		if known := p.devices[form.Get("device_code")]; known != nil {
			known.polls++
			d = *known
		}
		claims = maps.Clone(p.user)
	})
	switch {
	case d.polls == 0:
		refuse(w, "invalid_grant", "no such device")
	case d.polls <= pollsBefore:
		refuse(w, "authorization_pending", "")
	default:
		p.hand(w, claims, "")
	}
}

// job hands a job of a build service its token, for whatever audience it wants.
func (p *Provider) job(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+Secret {
		http.Error(w, "not your job", http.StatusUnauthorized)
		return
	}
	claims := p.Claims()
	claims["aud"], claims["jti"] = r.URL.Query().Get("audience"), rand.Text()
	token, err := p.sign(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, http.StatusOK, map[string]any{"value": token, "count": len(token)})
}

func (p *Provider) hand(w http.ResponseWriter, user map[string]any, nonce string) {
	now := time.Now()
	claims := map[string]any{"iss": p.URL, "aud": Client, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	maps.Copy(claims, user)
	if nonce != "" {
		claims["nonce"] = nonce
	}
	p.change(func() {
		if p.answer != nil {
			p.answer(claims)
		}
	})
	token, err := p.sign(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, http.StatusOK, map[string]any{"access_token": "access-" + strings.ToLower(rand.Text()), "id_token": token, "token_type": "Bearer", "expires_in": 600, "refresh_token": "refresh"})
}

func refuse(w http.ResponseWriter, code, description string) {
	write(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
}
