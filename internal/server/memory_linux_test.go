package server

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const smaps = `00400000-012a1000 r-xp 00000000 fe:00 9979473                            /opt/my signet
Size:              15012 kB
Rss:               12836 kB
Private_Clean:     12836 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
012a1000-02212000 r--p 00ea1000 fe:00 9979473                            /opt/my signet
Rss:               11828 kB
Anonymous:            16 kB
02212000-0233b000 rw-p 01e12000 fe:00 9979473                            /opt/my signet
Rss:                1124 kB
Anonymous:             0 kB
0233b000-0233c000 r--p 01f3b000 fe:00 9979473                            /opt/my signet
Anonymous:             0 kB
7f6242fd0000-7f6243250000 r--p 00000000 00:00 0 
Anonymous:             0 kB
7f6243250000-7f6243260000 r-xp 00000000 fe:00 12                         /usr/lib/libc.so.6
Anonymous:             0 kB
`

// Only what is certainly the file's own content is given back: pages that relocations changed
// (Anonymous) and pages that can be written stay.
func TestCleanMappings(t *testing.T) {
	t.Parallel()
	got := cleanMappings(strings.NewReader(smaps), "/opt/my signet")
	if want := []mapping{{0x400000, 0x12a1000}, {0x233b000, 0x233c000}}; !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// The program goes on after its own code was given back.
func TestForgetStart(t *testing.T) {
	t.Parallel()
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	if len(cleanMappings(maps, self)) == 0 {
		t.Error("nothing of this program is found")
	}
	for range 100 {
		forgetStart()
	}
}
