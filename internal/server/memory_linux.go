package server

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetStart takes the pages of the program's own file that the start touched, code and
// constants, out of this process: starting runs through nearly all of it, serving through
// a fraction. They are clean pages of the kernel's cache; what is needed again is there again
// at its next use. On any error they simply stay.
func forgetStart() {
	file, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, m := range cleanMappings(maps, file) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

type mapping struct{ from, to uintptr }

// cleanMappings are those of a file that cannot be written and hold nothing but the file
// (proc_pid_smaps(5)). A page that was changed before its mapping became read-only, by the
// relocations of a position-independent program, would be lost.
func cleanMappings(smaps io.Reader, file string) []mapping {
	var clean []mapping
	var m mapping
	ours := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 5 && !strings.HasSuffix(fields[0], ":") {
			m, ours = parseMapping(fields, file)
		} else if ours && len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0" {
			clean = append(clean, m)
		}
	}
	return clean
}

// parseMapping reads the head of a mapping and tells whether it is of the file and read-only.
func parseMapping(fields []string, file string) (mapping, bool) {
	if strings.Contains(fields[1], "w") || strings.Join(fields[5:], " ") != file {
		return mapping{}, false
	}
	low, high, _ := strings.Cut(fields[0], "-")
	from, err := strconv.ParseUint(low, 16, 64)
	if err != nil {
		return mapping{}, false
	}
	to, err := strconv.ParseUint(high, 16, 64)
	return mapping{uintptr(from), uintptr(to)}, err == nil && to > from
}
