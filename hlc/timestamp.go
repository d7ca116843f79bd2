package hlc

import (
	"math"
	"time"
)

// The layout of a timestamp; part of the format; never change:
//
//	| Unix milliseconds (48 bits) | counter (16 bits) |
const (
	counterBits = 16
	millisMax   = 1<<48 - 1 // 10889-08-02 05:31:50.655 UTC
)

// Max is the highest timestamp that a clock issues. It leaves out the highest
// uint64, which stands for "the newest version" where timestamps are compared.
const Max uint64 = math.MaxUint64 - 1

// FromTime returns the first timestamp of t's millisecond. A time before 1970
// gives 0; one past August 10889, where 48 bits end, gives Max.
func FromTime(t time.Time) uint64 {
	// Seconds decide first: UnixMilli of a very distant time wraps around.
	s := t.Unix()
	if s < 0 {
		return 0
	}
	if s > millisMax/1000 {
		return Max
	}
	return FromMillis(uint64(t.UnixMilli()))
}

// Time returns the millisecond of ts as a UTC time.
func Time(ts uint64) time.Time {
	return time.UnixMilli(int64(Millis(ts))).UTC()
}

// FromMillis returns the first timestamp of the Unix millisecond ms, or Max when
// ms does not fit into 48 bits.
func FromMillis(ms uint64) uint64 {
	if ms > millisMax {
		return Max
	}
	return ms << counterBits
}

// Millis returns the Unix millisecond of ts.
func Millis(ts uint64) uint64 {
	return ts >> counterBits
}
