// Package rdb answers one question: what does a payload of DUMP say?
//
// It reads the format in which Redis 2.6 to 7.4 serialises the value of one key,
// and writes it as Redis 7.0 does (a hash with fields that expire as 7.4 does).
// Parse trusts nothing: whatever bytes it is given, it returns a value that is well
// formed or an error, and takes memory in proportion to what it was given.
//
// The package imports nothing of this module. It knows no keys and no expiries of
// keys, which are not part of a payload.
package rdb
