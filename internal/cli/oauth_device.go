package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Times of a login on another device (RFC 8628).
const (
	deviceInterval = 5 * time.Second
	deviceTime     = 5 * time.Minute
)

// deviceAnswer is RFC 8628, Section 3.2; some call an address otherwise.
type deviceAnswer struct {
	Code     string `json:"device_code"`
	UserCode string `json:"user_code"`
	Address  string `json:"verification_uri"`
	Other    string `json:"verification_url"`
	Complete string `json:"verification_uri_complete"`
	Expires  int    `json:"expires_in"`
	Interval int    `json:"interval"`
}

// byDevice logs in on another device: the person opens an address there and enters a code.
func (c *oauthClient) byDevice(ctx context.Context) (*oauthTokens, error) {
	form := url.Values{}
	if err := c.addParams(form); err != nil {
		return nil, err
	}
	form.Set("client_id", c.id)
	form.Set("client_secret", c.secret)
	form.Set("scope", c.scope())
	d := new(deviceAnswer)
	if err := c.post(ctx, "device_authorization_endpoint", c.provider.Device, form, d); err != nil {
		return nil, err
	}
	if d.Address == "" {
		d.Address = d.Other
	}
	if d.Code == "" || d.Address == "" && d.Complete == "" {
		return nil, errors.New("the identity provider's answer says neither where to log in nor with what")
	}
	if d.Complete != "" {
		c.env.Note("Open this address on any device and log in:\n\n%s\n", printable(d.Complete))
	} else {
		c.env.Note("Open %s on any device and enter the code:\n\n%s\n", printable(d.Address), printable(d.UserCode))
	}
	wait := deviceTime
	if expires := time.Duration(d.Expires) * time.Second; expires > 0 {
		wait = min(wait, expires)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("nobody logged in within %s", wait))
	defer cancel()
	return c.poll(ctx, d)
}

// poll asks until the person is done, as slowly as the identity provider wishes.
func (c *oauthClient) poll(ctx context.Context, d *deviceAnswer) (*oauthTokens, error) {
	interval := deviceInterval
	if d.Interval > 0 && d.Interval <= 60 {
		interval = time.Duration(d.Interval) * time.Second
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.Code}, "client_id": {c.id}, "client_secret": {c.secret}}
	for {
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return nil, fmt.Errorf("log in: %w", context.Cause(ctx))
		}
		tokens, err := c.redeem(ctx, form)
		if err == nil {
			return tokens, c.check(tokens, "")
		}
		refused, ok := errors.AsType[*oauthError](err)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("log in: %w", context.Cause(ctx))
		case !ok:
			return nil, err
		case refused.Code == "slow_down":
			interval += deviceInterval
		case refused.Code == "access_denied":
			return nil, errors.New("the login was refused on the other device")
		case refused.Code == "expired_token":
			return nil, errors.New("the code has expired before anybody logged in with it; start again")
		case refused.Code != "authorization_pending":
			return nil, err
		}
	}
}
