// Package geohash answers: where on Earth is this, and what lies near it? It turns places into
// numbers of 52 bits that lie close to each other if the places do, and areas into ranges of
// such numbers, with the same numbers and distances as Redis. It imports only the standard
// library, and knows nothing of keys or commands.
package geohash
