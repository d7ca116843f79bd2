// Package tracking answers one question: which clients have to forget a key that has changed?
//
// A Table knows which clients keep copies of what they have read, and of which keys. Reads are
// put in before they look; a change is collected where it is made, in the order of changes,
// and settled when it can be seen by everybody and be lost no more. Then all who may have read the key
// before the change are to be told.
//
// The package imports prefixes. It sends nothing and knows nothing of connections.
package tracking
