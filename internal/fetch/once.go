package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"time"
)

// once makes each plain HTTP call over a connection of its own, in the goroutine of its caller:
// http.Transport needs five to keep a connection that would never be used again. Calls by https,
// and what is unusual, are the transport's.
type once struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	other http.RoundTripper
}

// maxInterim is how many answers of status 1xx may come before the final one.
const maxInterim = 5

var errLongHeader = fmt.Errorf("the header of the answer has more than %d bytes", maxHeader)

// RoundTrip makes a call without redirects. The body of the answer ends with the request's context.
func (o *once) RoundTrip(req *http.Request) (*http.Response, error) {
	u := req.URL
	if u.Scheme != "http" || u.Opaque != "" || u.Hostname() == "" || req.Body != nil && req.Body != http.NoBody || !isASCII(u.Host) {
		return o.other.RoundTrip(req)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	ctx := req.Context()
	conn, err := o.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	e := &exchange{conn: conn, ctx: ctx, left: maxHeader}
	e.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	res, err := e.run(req)
	if err != nil {
		_ = e.Close()
		return nil, e.reason(err)
	}
	return res, nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// exchange is one request and its answer; it is the body of the answer, too.
type exchange struct {
	conn net.Conn
	ctx  context.Context
	stop func() bool
	left int64 // bytes that may still come
	body io.Reader
}

func (e *exchange) run(req *http.Request) (*http.Response, error) {
	out := *req
	out.Close = true // neither side keeps the connection
	if err := out.Write(e.conn); err != nil {
		return nil, err
	}
	from := bufio.NewReaderSize(source{e}, 2048)
	for range maxInterim + 1 {
		res, err := http.ReadResponse(from, req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			e.left = math.MaxInt64 // whoever reads the body bounds it
			e.body, res.Body = res.Body, e
			return res, nil
		}
	}
	return nil, errors.New("too many interim answers")
}

// reason gives an end of the context in place of what it did to the connection.
func (e *exchange) reason(err error) error {
	if err != nil && err != io.EOF && e.ctx.Err() != nil {
		return e.ctx.Err()
	}
	return err
}

// Read reads the body of the answer.
func (e *exchange) Read(p []byte) (int, error) {
	n, err := e.body.Read(p)
	return n, e.reason(err)
}

// Close drops the connection, and what the body still had to say.
func (e *exchange) Close() error {
	e.stop()
	return e.conn.Close()
}

// source is the connection, up to so many bytes.
type source struct{ *exchange }

func (s source) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, errLongHeader
	}
	n, err := s.conn.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}
