//go:build unix

package durable

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner hands the new file to the owner of the old one: root editing the service's
// configuration must not lock the service out. Who may not do that keeps the file.
func keepOwner(f *os.File, old fs.FileInfo) {
	if st, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(st.Uid), int(st.Gid))
	}
}
