package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"time"
)

// dialTimeout bounds how long a server may take to accept a connection, unless the
// dataSource says otherwise.
const dialTimeout = 5 * time.Second

// trouble is a way in which a database server fails that is not our mistake.
type trouble uint8

const (
	none      trouble = iota
	away              // can't be reached, or the connection broke
	stopping          // shuts down or starts up
	readOnly          // takes no changes: a standby, most likely
	full              // out of space
	crowded           // out of connections or memory
	contended         // others hold what we need
	damaged           // data can't be read
	foreign           // tables or columns are not there
)

// transportTrouble looks at an error that is not the server's own.
func transportTrouble(err error) trouble {
	_, network := errors.AsType[net.Error](err)
	for _, broken := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		context.DeadlineExceeded, context.Canceled} {
		network = network || errors.Is(err, broken)
	}
	if network {
		return away
	}
	return none
}

// foreignWords is for callers, on every database.
const foreignWords = "the CA's database is not as this version needs it; nothing was handed out: its operator has to restore or migrate it"

// serverWords is for callers of the CA.
func serverWords(t trouble) string {
	switch t {
	case away, stopping:
		return "the CA can't reach its database; nothing was handed out: try again"
	case readOnly:
		return "the CA's database takes no changes at the moment; nothing was handed out: try again"
	case full:
		return "the CA's database is out of space; nothing was handed out: try again when its operator has seen to it"
	case crowded, contended:
		return "the CA's database is overloaded; nothing was handed out: try again"
	case damaged:
		return "the CA's database is damaged: its operator has to restore it"
	case foreign:
		return foreignWords
	}
	return ""
}

// serverAdvice is for the operator at start.
func serverAdvice(t trouble) string {
	switch t {
	case away:
		return "the server can't be reached: look at host, port, TLS settings and firewalls"
	case stopping:
		return "the server is starting or stopping: try again in a moment"
	case readOnly:
		return "the server takes no changes: point the dataSource to the primary"
	case full:
		return "the server is out of disk space: free some"
	case crowded:
		return "the server is out of connections or memory: raise its limits"
	case contended:
		return "another program holds locks on the tables for long"
	case damaged:
		return "the server can't read its data: look at its log"
	case foreign:
		return "tables or columns are missing: the database was altered by hand, or belongs to another program"
	}
	return ""
}

func oneOf[T comparable](v T, these ...T) bool { return slices.Contains(these, v) }
