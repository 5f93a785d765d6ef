package server

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"
)

// role is what one listener serves.
type role struct {
	address string
	handler http.Handler
	tls     *tls.Config
}

// move is the difference between the listeners a server has and those it is to have.
type move struct {
	next     map[string]*listener // by role; some of them are those of now
	opened   []*listener
	gone     []*listener
	released []*listener // of those gone, whose address overlaps a new one
}

// rebind opens the sockets a setup wants and the server does not have yet. A listener is
// known by its address: two roles may swap theirs. On any failure everything is as before.
func (s *Server) rebind(roles map[string]role) (*move, error) {
	m := &move{next: map[string]*listener{}}
	free := map[string]*listener{} // by address, what is not taken yet
	for name, l := range s.listeners {
		if r, ok := roles[name]; ok && r.address == l.address {
			m.next[name] = l
			continue
		}
		free[l.address] = l
	}
	var missing []string
	for name, r := range roles {
		if m.next[name] != nil {
			continue
		}
		// Only a plain listener may take over another's: TLS is for good.
		if l := free[r.address]; l != nil && (l.tls.Load() == nil) == (r.tls == nil) {
			m.next[name] = l
			delete(free, r.address)
			continue
		}
		missing = append(missing, name)
	}
	for _, l := range free {
		m.gone = append(m.gone, l)
	}
	for _, name := range missing {
		l, err := s.bindBeside(m, roles[name].address)
		if err != nil {
			m.undo()
			return nil, err
		}
		m.next[name] = l
		m.opened = append(m.opened, l)
	}
	return m, nil
}

// bindBeside binds an address; listeners that go anyway make room for it if they must.
func (s *Server) bindBeside(m *move, address string) (*listener, error) {
	for _, old := range m.gone {
		if old.overlaps(address) && !slices.Contains(m.released, old) {
			old.release()
			m.released = append(m.released, old)
		}
	}
	return listen(address, s.passed, s.o.Log)
}

func (m *move) undo() {
	for _, l := range m.opened {
		_ = l.socket.Close()
	}
	for _, l := range m.released {
		l.reopen()
	}
}

// swap puts a setup in force.
func (s *Server) swap(next *setup, m *move) {
	for name, l := range m.next {
		l.set(next.roles[name])
	}
	for _, l := range m.opened {
		l.start()
	}
	for _, l := range m.gone {
		s.retiring.Go(l.drain)
	}
	s.listeners, s.current = m.next, next
	for _, p := range next.state.Provisioners.All() {
		go p.Warm(context.Background()) // which bounds itself
	}
}
