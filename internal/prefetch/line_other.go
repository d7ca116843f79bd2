//go:build !amd64 && !arm64

package prefetch

import "unsafe"

// Line names the line that p points into.
func Line(unsafe.Pointer) {}
