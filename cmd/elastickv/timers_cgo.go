//go:build cgo && linux

package main

/*
#include <sys/prctl.h>

// How much later than asked for a thread may be woken up, in nanoseconds: what Linux gives every thread, and what is asked for here.
static const unsigned long usual_slack = 50 * 1000, slack = 1000 * 1000;

// A thread of Go's runtime watches the others. While they wait for the disk it wakes up every 70 microseconds: 20 that it asks for,
// and what the system adds. On two processors, one of them virtual or busy, that took up to a tenth of the time under writes, and what it then finds
// to do, the processor of a thread that is about to come back from the disk, a few percent more. Nothing in
// this process needs timers that are exact to less than a millisecond. All threads have the slack of the first one, if it is set
// before they begin. Who has started the process with another slack than the usual one has chosen it.
__attribute__((constructor)) static void wake_up_less(void) {
	if (prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == usual_slack)
		prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0);
}
*/
import "C"
