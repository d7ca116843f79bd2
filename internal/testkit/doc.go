// Package testkit starts real servers for tests and talks to them: a Redis from the
// PATH, and ours as the process that a user runs. Its question is: is
// what comes over the wire the same?
//
// Only tests import it. It reads the clock and the environment, which the code under
// test may not, listens on 127.0.0.1 alone, and ends only processes that it started.
package testkit
