package rdb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// redisDump is what Redis 7.0.15 answers to FUNCTION DUMP for functionSource.
const redisDump = "f5c3406d40c11f23216c7561206e616d653d6c69620a72656469732e72656769737465725f66750b6e6374696f6e28276627" +
	"2c20e0000d116b6579732c2061726773292072657475726e200640380863616c6c2827676574202d4024085b315d2920656e" +
	"6429e011580067202ae0315801290a0a00abceb69c5daad650"

func TestFunctions(t *testing.T) {
	long := []byte("#!lua name=long\n" + strings.Repeat("-- a line\n", 1000))
	for _, sources := range [][][]byte{nil, {[]byte("12")}, {[]byte("#!lua name=a\nreturn"), long}} {
		payload := AppendFunctions(nil, sources)
		got, err := ParseFunctions(payload)
		if err != nil || len(got) != len(sources) {
			t.Fatalf("%d sources back from %d, %v", len(got), len(sources), err)
		}
		for i := range got {
			if !bytes.Equal(got[i], sources[i]) {
				t.Errorf("source %d: got %q, want %q", i, got[i], sources[i])
			}
		}
		for i := range payload {
			bad := bytes.Clone(payload)
			bad[i] ^= 1
			if _, err := ParseFunctions(bad); !errors.Is(err, ErrFooter) {
				t.Fatalf("byte %d changed: %v", i, err)
			}
		}
	}
	if _, err := ParseFunctions(Append(nil, String("x"))); !errors.Is(err, ErrNotFunctions) {
		t.Errorf("a string for a library: %v", err)
	}
	if _, err := ParseFunctions(appendFooter([]byte{opFunction2, 60, 'x'}, versionWritten)); !errors.Is(err, ErrFormat) {
		t.Errorf("a source that ends early: %v", err)
	}
}

// TestFunctionsOfCandidates reads a library as the release candidates of Redis 7.0 wrote it.
func TestFunctionsOfCandidates(t *testing.T) {
	b := []byte{opFunction}
	for _, s := range []string{"lib", "LUA", "\x01", "what it does", "code"} {
		if s != "\x01" {
			b = append(b, byte(len(s)))
		}
		b = append(b, s...)
	}
	got, err := ParseFunctions(appendFooter(b, versionWritten))
	if err != nil || len(got) != 1 || string(got[0]) != "#!LUA name=lib\ncode" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestFunctionsAsRedis reads a payload of Redis.
func TestFunctionsAsRedis(t *testing.T) {
	payload, err := hex.DecodeString(redisDump)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseFunctions(payload)
	if err != nil || len(got) != 1 || string(got[0]) != functionSource {
		t.Errorf("got %q, %v", got, err)
	}
}

const functionSource = "#!lua name=lib\nredis.register_function('f', function(keys, args) return redis.call('get', keys[1]) end)\n" +
	"redis.register_function('g', function(keys, args) return redis.call('get', keys[1]) end)\n"
