package prefetch

import "unsafe"

// lineBytes is the length of a line of the processor's caches.
const lineBytes = 64

// Bytes names b, from its first byte in steps of a line.
func Bytes(b []byte) {
	for i := 0; i < len(b); i += lineBytes {
		Line(unsafe.Pointer(&b[i]))
	}
}
