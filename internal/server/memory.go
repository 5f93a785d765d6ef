package server

import (
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
)

// leastHeap is how large the heap may grow before garbage is collected, in bytes. Go's own
// pace is set by what lives, which is little here: under load it would collect every few
// milliseconds, to save memory that nobody misses.
const leastHeap = 24 << 20

// mostPercent bounds how far the heap outgrows leastHeap when what lives has just doubled.
const mostPercent = 300

// tendHeap sets the pace and gives back what the start needed. An operator who set GOGC or
// GOMEMLIMIT has decided otherwise about the pace.
func tendHeap(getenv func(string) string) {
	defer forgetStart()
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return
	}
	p := &pace{percent: 100, sample: []gometrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/globals:bytes"}, {Name: "/gc/scan/stack:bytes"}}}
	debug.FreeOSMemory()
	p.set()
}

// pace is set anew after each collection: it is garbage then, and its finalizer runs.
type pace struct {
	percent int
	sample  []gometrics.Sample
}

func (p *pace) set() {
	gometrics.Read(p.sample)
	live := int(p.sample[0].Value.Uint64())
	scanned := live + int(p.sample[1].Value.Uint64()+p.sample[2].Value.Uint64()) // what the percentage is of
	want := min(max(100, (leastHeap-live)*100/max(scanned, 1)), mostPercent)
	if want*4 > p.percent*5 || want*5 < p.percent*4 { // setting it stops the world for a moment
		debug.SetGCPercent(want)
		p.percent = want
	}
	runtime.SetFinalizer(p, (*pace).set)
}
