package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/signet-ca/signet/internal/fault"
)

// statuses is the one table that turns faults into answers of this door.
var statuses = map[fault.Kind]int{
	fault.Invalid:     http.StatusBadRequest,
	fault.Unproven:    http.StatusUnauthorized,
	fault.Denied:      http.StatusForbidden,
	fault.Missing:     http.StatusNotFound,
	fault.Conflict:    http.StatusConflict,
	fault.TooLarge:    http.StatusRequestEntityTooLarge,
	fault.TooMany:     http.StatusTooManyRequests,
	fault.Unsupported: http.StatusNotImplemented,
	fault.Unavailable: http.StatusServiceUnavailable,
	fault.Internal:    http.StatusInternalServerError,
}

// problem is an error on the wire: status and message for clients that know no more, and
// the members of RFC 9457.
type problem struct {
	Status    int    `json:"status"`
	Message   string `json:"message"`
	Type      string `json:"type"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	RequestID string `json:"requestId,omitempty"`
}

// WriteError answers with an error. What is not a fault reads as an internal error; its
// cause is in the log under the request's ID.
func WriteError(w http.ResponseWriter, err error) {
	status, message := http.StatusInternalServerError, "internal error; the server's log says more under this request's ID"
	kind := fault.KindOf(err)
	if f := fault.Of(err); f != nil {
		status, message = statuses[f.Kind], f.Message
	}
	writeProblem(w, status, kind.String(), message)
}

func writeProblem(w http.ResponseWriter, status int, title, message string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	writeJSON(w, status, problem{Status: status, Message: message, Type: "about:blank", Title: title,
		Detail: message, RequestID: w.Header().Get("X-Request-Id")})
}

// writeJSON answers compactly, with a newline at the end.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // our own shapes always encode
		status, body = http.StatusInternalServerError, []byte(`{"status":500,"message":"internal error"}`)
	}
	writeBody(w, status, body)
}

// writeBody ends an answer that is JSON already.
func writeBody(w http.ResponseWriter, status int, body []byte) {
	body = append(body, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
