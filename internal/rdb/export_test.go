package rdb

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// What tests outside of the package use.
var (
	Show          = show
	OlderPayloads = olderPayloads
	BadPayloads   = badPayloads
)

// Seal adds the footer that Redis 7.0 writes.
func Seal(body []byte) []byte { return appendFooter(bytes.Clone(body), versionWritten) }

// Unseal takes the footer away.
func Unseal(payload []byte) []byte { return payload[:len(payload)-footerSize] }

// Unhex returns the payload that the first line of a block's reply is.
func Unhex(t testing.TB, block string) []byte {
	t.Helper()
	line, _, _ := strings.Cut(block, "\n")
	payload, err := hex.DecodeString(line)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}
