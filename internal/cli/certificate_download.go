package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Bounds on what is fetched.
const (
	maxRedirects    = 3
	maxOCSPResponse = 1 << 20
)

// download is something to get from a web server.
type download struct {
	url   string
	kind  string // media type of body
	body  []byte // sent by POST; nil: GET
	limit int64  // on the answer
}

// download fetches from a web server, within bounds of time, size and redirects.
func (s *serverFlags) download(ctx context.Context, d download) ([]byte, error) {
	u, err := url.Parse(d.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of a web server", printable(d.url))
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	method := http.MethodGet
	if d.body != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, d.url, bytes.NewReader(d.body))
	if err != nil {
		return nil, err
	}
	if d.kind != "" {
		request.Header.Set("Content-Type", d.kind)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", explainTLS(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch %s: the server answers %s", d.url, printable(answer.Status))
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, d.limit+1))
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", d.url, err)
	}
	if int64(len(data)) > d.limit {
		return nil, fmt.Errorf("fetch %s: the answer is larger than %d bytes", d.url, d.limit)
	}
	return data, nil
}

// client trusts the system's roots, and those given besides.
func (s *serverFlags) client() (*http.Client, error) {
	pool, err := readRoots(s.roots)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, InsecureSkipVerify: s.insecure},
		},
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return errors.New("too many redirects")
			case to.URL.Scheme != "http" && to.URL.Scheme != "https":
				return fmt.Errorf("a redirect leads to %q", to.URL.Scheme)
			case via[0].URL.Scheme == "https" && to.URL.Scheme != "https":
				return errors.New("a redirect leads away from https")
			}
			return nil
		},
	}, nil
}
