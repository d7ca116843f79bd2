//go:build !unix

package main

import "time"

// cpuTime returns 0: what this process has used of the processors is not known here.
func cpuTime() time.Duration { return 0 }
