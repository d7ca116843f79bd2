// Package encryption makes bytes unreadable and provably intact. It seals with
// AES-256-GCM under data encryption keys (DEKs) that are known by number, lays out the
// envelope that sealed bytes travel in, and has the rules by which no nonce is used
// twice: which node may write under which key.
//
// It imports nothing of this module, reads no clock, makes no random numbers and
// touches no files. It never prints a key.
package encryption
