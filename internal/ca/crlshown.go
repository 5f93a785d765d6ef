package ca

import (
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// shownFor is how long a list that was read from the database is shown without another look:
// the list of another server reaches clients of this one within that time. Lists grow to
// megabytes, and whole fleets fetch them.
const shownFor = time.Second

// shownCRL is the revocation list that was read last.
type shownCRL struct {
	mu        sync.Mutex
	list      *store.CRL // nil: it is to be read
	until     time.Time
	published int // how many lists this server made: what was read before the last one is old
}

// get is the list of an issuer if it may be shown without another look, and what put wants
// to know of what is read instead.
func (s *shownCRL) get(issuer string, now time.Time) (list *store.CRL, published int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil || s.list.Issuer != issuer || !now.Before(s.until) || !now.Before(s.list.NextUpdate) {
		return nil, s.published
	}
	return s.list, s.published
}

// put remembers a list that was read, and gives the one to show: a list with the same number
// stays the same one, so that what was made of it need not be made again.
func (s *shownCRL) put(list *store.CRL, published int, now time.Time) *store.CRL {
	s.mu.Lock()
	defer s.mu.Unlock()
	if published != s.published {
		return list
	}
	if s.list != nil && s.list.Issuer == list.Issuer {
		switch {
		case list.Number == s.list.Number:
			list = s.list
		case list.Number < s.list.Number && now.Before(s.until): // somebody who read later was faster
			return s.list
		}
	}
	s.list, s.until = list, now.Add(shownFor)
	return list
}

// replaced says that this server has made another list.
func (s *shownCRL) replaced() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
	s.published++
}
