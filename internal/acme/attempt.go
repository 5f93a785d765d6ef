package acme

import (
	"time"

	"github.com/signet-ca/signet/internal/challenge"
	"github.com/signet-ca/signet/internal/store"
)

// What is kept of the attempts at a challenge, for operators.
const (
	attemptsKept = 5   // the last ones
	traceKept    = 12  // lines of each, the last ones
	traceLine    = 200 // bytes
)

// attemptOf is what is kept of an attempt: what was asked and how it answered.
func attemptOf(a *challenge.Attempt, p *challenge.Problem, began time.Time) store.ACMEAttempt {
	out := store.ACMEAttempt{At: began.Unix(), Took: time.Since(began).Milliseconds()}
	for _, line := range a.Trace[max(0, len(a.Trace)-traceKept):] {
		out.Trace = append(out.Trace, shortLine(line))
	}
	if p != nil {
		out.Error = shortLine(p.Type + ": " + p.Detail)
	}
	return out
}

func shortLine(s string) string {
	if len(s) > traceLine {
		return s[:traceLine] + "..."
	}
	return s
}
