// Package relay answers one question: how do many conversations share one connection between two nodes?
//
// The side that asks makes a Link of the connection and opens streams on it; the other side serves them. On a stream a message is
// asked and another one is the answer, one after the other. What becomes of a question is always known as far as it can be: it
// is answered, or it never arrived (ErrUnsent), or nobody knows (ErrLost). A side that is silent for too long is taken for dead.
//
// The package imports nothing of this module and does not know what the messages say. It reads no clock but the one that it is
// given, and keeps no more in memory than its bounds and the messages that are under way.
package relay
