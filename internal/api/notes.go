package api

import (
	"context"
	"sync"
)

// Notes are what handlers want to see in the line that the request log writes for a
// request. They never hold a token, a key or a password.
type Notes struct {
	mu   sync.Mutex
	list []any // key, value, key, value
}

type notesKey struct{}

// WithNotes gives a request a place for notes.
func WithNotes(ctx context.Context) (context.Context, *Notes) {
	n := new(Notes)
	return context.WithValue(ctx, notesKey{}, n), n
}

// Note adds to the notes of a request, if it has a place for them.
func Note(ctx context.Context, keysAndValues ...any) {
	if n, ok := ctx.Value(notesKey{}).(*Notes); ok {
		n.mu.Lock()
		n.list = append(n.list, keysAndValues...)
		n.mu.Unlock()
	}
}

// List gives the notes as alternating keys and values.
func (n *Notes) List() []any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list
}
