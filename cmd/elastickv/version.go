package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set by the linker in released binaries.
var release string

// version is the release, or what Go knows of the source that this was built from.
func version() string {
	if release != "" {
		return release
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}

func printVersion(args []string, io stdio) int {
	if len(args) > 0 {
		return complain(io, exitUsage, fmt.Errorf("version takes no arguments"))
	}
	fmt.Fprintf(io.out, "elastickv %s %s/%s %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return exitOK
}
