package server

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a file must rest before it is read: editors write in several steps.
const settle = 300 * time.Millisecond

// watch asks for a reload whenever the configuration file has other content, if the
// configuration wants that. It watches the directory, since editors and Kubernetes replace
// files rather than write into them.
func (s *Server) watch(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		err = w.Add(filepath.Dir(s.o.ConfigFile))
	}
	if err != nil {
		if s.watches() {
			s.o.Log.Warn("the configuration file cannot be watched; reload by SIGHUP", "err", err)
		}
		return
	}
	seen := s.contentHash()
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-w.Events:
			if !open {
				return
			}
			timer.Reset(settle)
		case err, open := <-w.Errors: // an overflow loses events, never the last word: look again
			if !open {
				return
			}
			s.o.Log.Warn("watch the configuration file", "err", err)
			timer.Reset(settle)
		case <-timer.C:
			next := s.contentHash()
			if next == seen || next == ([sha256.Size]byte{}) {
				continue
			}
			seen = next
			if s.watches() {
				select {
				case s.changed <- struct{}{}:
				default: // a reload is coming already
				}
			}
		}
	}
}

// watches reports whether the configuration in force wants to be watched.
func (s *Server) watches() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.current.cfg.Signet
	return own != nil && own.Watch
}

// contentHash is zero while the file is away or cannot be read.
func (s *Server) contentHash() [sha256.Size]byte {
	data, err := os.ReadFile(s.o.ConfigFile)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(data)
}
