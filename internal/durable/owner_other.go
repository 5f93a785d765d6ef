//go:build !unix

package durable

import (
	"io/fs"
	"os"
)

func keepOwner(*os.File, fs.FileInfo) {}
