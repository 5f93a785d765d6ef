package server

import "time"

// monotonic: there is no service manager here that would ask for it.
func monotonic() (since time.Duration, ok bool) { return 0, false }
