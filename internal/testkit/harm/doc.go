// Package harm answers: what does a machine do to a program whose clock is stepped and whose disk is slow? Tests build it into
// our program (see testkit.ElastickvInHarm), which knows nothing of it otherwise. Only they import it.
package harm
