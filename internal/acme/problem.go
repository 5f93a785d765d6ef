package acme

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/store"
)

// urn is how the types of problems begin (RFC 8555, Section 6.7).
const urn = "urn:ietf:params:acme:error:"

// problem is a refusal in the protocol's words (RFC 9457).
type problem struct {
	Type        string // without the urn; one that has a colon stands as it is
	Status      int    // 0: 400
	Detail      string
	Subproblems []subproblem
	Algorithms  []string      // for badSignatureAlgorithm
	RetryAfter  time.Duration // 0: the client need not come back
	Location    string        // of what is in the way; "": nothing
	Link        string        // "": none
	limit       string        // that was reached, for those who count; "": none
}

// subproblem says what is wrong with one name.
type subproblem struct {
	Type       string                `json:"type"`
	Detail     string                `json:"detail"`
	Identifier *store.ACMEIdentifier `json:"identifier,omitempty"`
}

func (p *problem) Error() string { return p.Type + ": " + p.Detail }

// MarshalJSON writes the problem as clients read it, also inside orders and challenges.
func (p *problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type        string       `json:"type"`
		Detail      string       `json:"detail"`
		Subproblems []subproblem `json:"subproblems,omitempty"`
		Algorithms  []string     `json:"algorithms,omitempty"`
	}{urn + p.Type, p.Detail, p.Subproblems, p.Algorithms})
}

func malformed(format string, args ...any) *problem {
	return &problem{Type: "malformed", Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}

func unauthorized(format string, args ...any) *problem {
	return &problem{Type: "unauthorized", Status: http.StatusForbidden, Detail: fmt.Sprintf(format, args...)}
}

func badCSR(format string, args ...any) *problem {
	return &problem{Type: "badCSR", Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}

func badNonce(detail string) *problem {
	return &problem{Type: "badNonce", Status: http.StatusBadRequest, Detail: detail + "; try again with the one in this answer"}
}

func missing(what string) *problem {
	return &problem{Type: "malformed", Status: http.StatusNotFound, Detail: "there is no such " + what}
}

// kinds is the table that turns faults into answers of this door.
var kinds = map[fault.Kind]struct {
	kind   string
	status int
}{
	fault.Invalid:     {"malformed", http.StatusBadRequest},
	fault.Unproven:    {"unauthorized", http.StatusForbidden},
	fault.Denied:      {"rejectedIdentifier", http.StatusForbidden},
	fault.Missing:     {"malformed", http.StatusNotFound},
	fault.Conflict:    {"malformed", http.StatusConflict},
	fault.TooLarge:    {"malformed", http.StatusRequestEntityTooLarge},
	fault.TooMany:     {"rateLimited", http.StatusTooManyRequests},
	fault.Unsupported: {"unsupportedIdentifier", http.StatusBadRequest},
	fault.Unavailable: {"serverInternal", http.StatusServiceUnavailable},
}

// unavailableRetry is when to come back to a server whose database is away.
const unavailableRetry = 5 * time.Second

// problemOf puts an error into the protocol's words; inside reports one that only the log
// explains.
func problemOf(err error) (p *problem, inside bool) {
	if p, ok := errors.AsType[*problem](err); ok {
		return p, false
	}
	f := fault.Of(err)
	if f == nil {
		return &problem{Type: "serverInternal", Status: http.StatusInternalServerError, Detail: "internal error; the server's log says more under this request's ID"}, true
	}
	k, ok := kinds[f.Kind]
	if !ok {
		return &problem{Type: "serverInternal", Status: http.StatusInternalServerError, Detail: f.Message}, true
	}
	p = &problem{Type: k.kind, Status: k.status, Detail: f.Message}
	if f.Kind == fault.Unavailable {
		p.RetryAfter = unavailableRetry
	}
	return p, false
}

// refuse answers with an error.
func (q *request) refuse(err error) {
	p, inside := problemOf(err)
	if inside {
		q.log.ErrorContext(q.ctx, "ACME request failed inside", "err", err, "request-id", ca.RequestID(q.ctx), "path", q.r.URL.Path)
	} else {
		q.log.DebugContext(q.ctx, "ACME request refused", "err", err, "request-id", ca.RequestID(q.ctx), "path", q.r.URL.Path)
	}
	switch {
	case p.limit != "":
		q.tell(ca.Event{Act: "acme_limited", Type: p.limit})
	case p.Type == "badNonce":
		q.tell(ca.Event{Act: "acme_nonce_refused"})
	}
	h := q.w.Header()
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	if p.Location != "" {
		h.Set("Location", p.Location)
	}
	if p.Link != "" {
		h.Add("Link", p.Link)
	}
	status := p.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	q.write(status, "application/problem+json", p)
}

// tell has something counted, if it is of a provisioner of ours.
func (q *request) tell(e ca.Event) {
	if q.kind != nil {
		e.Provisioner = q.p.Name
		q.ca.Tell(e)
	}
}

// write answers with JSON.
func (q *request) write(status int, kind string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // our own shapes always encode
		status, body = http.StatusInternalServerError, []byte(`{"type":"`+urn+`serverInternal","detail":"internal error"}`)
	}
	body = append(body, '\n')
	h := q.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(status)
	_, _ = q.w.Write(body)
}

// answer is write for what went well.
func (q *request) answer(status int, v any) error {
	q.write(status, "application/json", v)
	return nil
}

// found turns the store's "no such record" into the protocol's.
func found(what string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return missing(what)
	}
	return err
}

func bytesText(n int64) string { return strconv.FormatInt(n>>10, 10) + " KiB" }
