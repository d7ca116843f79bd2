package geohash

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestRedis holds numbers, texts and distances to those of a real redis-server.
func TestRedis(t *testing.T) {
	text, err := os.ReadFile("testdata/redis.txt")
	if err != nil {
		t.Fatal(err)
	}
	var before *Point
	distances, off := 0, 0
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' {
			continue
		}
		var in Point
		var score, distance float64
		var name, lon, lat string
		if _, err := fmt.Sscan(line, &in.Lon, &in.Lat, &score, &name, &lon, &lat, &distance); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		n := Encode(in)
		out := Decode(n)
		if float64(n) != score || Text(n) != name || digits(out.Lon) != lon || digits(out.Lat) != lat {
			t.Errorf("%v: %d %s %v, want %.0f %s %s %s", in, n, Text(n), out, score, name, lon, lat)
		}
		if before != nil && distance >= 0 {
			got := Distance(*before, out)
			distances++
			if got != distance {
				off++
				if math.Abs(got-distance) > 1e-15*distance {
					t.Errorf("from %v to %v: %v, want %v", *before, out, got, distance)
				}
			}
		}
		before = &out
	}
	if distances < 100 || off > distances/50 {
		t.Errorf("%d of %d distances differ in the last place", off, distances)
	}
}

// digits prints a coordinate as GEOPOS does.
func digits(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 17, 64), "0"), ".")
}

func TestCorners(t *testing.T) {
	for _, p := range []Point{{180, latMost}, {-180, -latMost}, {0, 0}, {180, 0}, {0, latMost}} {
		if !p.Valid() {
			t.Errorf("%v is not valid", p)
		}
		got := Decode(Encode(p))
		if math.Abs(got.Lon-p.Lon) > 1e-5 || math.Abs(got.Lat-p.Lat) > 1e-5 {
			t.Errorf("%v becomes %v", p, got)
		}
	}
	for _, p := range []Point{{180.1, 0}, {0, 85.06}, {-181, 0}, {0, -86}, {math.Inf(1), 0}, {math.NaN(), 0}} {
		if p.Valid() {
			t.Errorf("%v is valid", p)
		}
	}
	for _, n := range []uint64{1 << 52, 1<<64 - 1, 1 << 63} {
		if p := Decode(n); !p.Valid() || len(Text(n)) != 11 {
			t.Errorf("%d lies at %v, named %q", n, p, Text(n))
		}
	}
}

// TestTrig compares with the sines of package math, which are off by little, and at angles
// where the result is known.
func TestTrig(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100000 {
		x := (rnd.Float64()*2 - 1) * math.Pi
		if math.Abs(sin(x)-math.Sin(x)) > 3e-16 || math.Abs(cos(x)-math.Cos(x)) > 3e-16 {
			t.Fatalf("sine and cosine of %v: %v %v", x, sin(x), cos(x))
		}
		if y := math.Abs(x / math.Pi); math.Abs(math.Sin(asin(y))-y) > 3e-16 {
			t.Fatalf("the sine of the arc of %v is %v", y, math.Sin(asin(y)))
		}
	}
	for _, c := range []struct{ got, want float64 }{
		{sin(0), 0}, {cos(0), 1}, {sin(math.Pi), 1.2246467991473532e-16}, {sin(-math.Pi / 2), -1}, {cos(math.Pi / 2), 6.123233995736766e-17},
		{asin(0), 0}, {asin(1), math.Pi / 2}, {asin(0.5), 0.5235987755982989}, {sin(1), 0.8414709848078965}, {cos(3), -0.9899924966004454},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	if !math.IsNaN(asin(1.0000001)) || !math.IsNaN(asin(math.NaN())) {
		t.Error("asin beyond 1 is a number")
	}
}

// TestRangesCoverArea says that no place in an area is missed, that no range is searched twice,
// and that a small area does not mean to search all of the Earth.
func TestRangesCoverArea(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		a := Area{
			Center: Point{rnd.Float64()*340 - 170, rnd.Float64()*164 - 82}, Box: rnd.IntN(2) == 0,
			Radius: math.Pow(10, 1+5*rnd.Float64()), Width: math.Pow(10, 1+5*rnd.Float64()), Height: math.Pow(10, 1+5*rnd.Float64()),
		}
		ranges := a.Ranges()
		if len(ranges) > 9 || len(ranges) == 0 || overlap(ranges) {
			t.Fatalf("%+v: ranges %v", a, ranges)
		}
		reach := a.radius() / 111000 // degrees
		if reach < 1 && ranges[0].Max-ranges[0].Min > 1<<46 {
			t.Fatalf("%+v: searches %v", a, ranges)
		}
		for range 30 {
			p := Point{a.Center.Lon + (rnd.Float64()*2-1)*reach*8, a.Center.Lat + (rnd.Float64()*2-1)*reach}
			if !p.Valid() {
				continue
			}
			n := Encode(p)
			if d, ok := a.Contains(Decode(n)); ok && !within(n, ranges) {
				t.Fatalf("%+v: misses %v at %v m", a, p, d)
			}
		}
	}
}

func overlap(ranges []Range) bool {
	for i, a := range ranges {
		for _, b := range ranges[:i] {
			if a.Min < b.Max && b.Min < a.Max {
				return true
			}
		}
	}
	return false
}

func within(n uint64, ranges []Range) bool {
	for _, r := range ranges {
		if n >= r.Min && n < r.Max {
			return true
		}
	}
	return false
}

func TestAreaOfTheWholeEarth(t *testing.T) {
	for _, a := range []Area{
		{Radius: 3e7}, {Radius: math.Inf(1)}, {Box: true, Width: 1e9, Height: 1e9},
		{Radius: math.NaN()}, {Center: Point{179, 84}, Radius: 2.1e7},
	} {
		ranges := a.Ranges()
		if overlap(ranges) {
			t.Errorf("%+v: ranges %v", a, ranges)
		}
		for _, p := range []Point{{-179, -80}, {179, 80}, {-90, 30}, {90, -30}, {0, 0}} {
			if !within(Encode(p), ranges) {
				t.Errorf("%+v: misses %v", a, p)
			}
		}
	}
}

func ExampleArea_Contains() {
	palermo, catania := Point{13.361389, 38.115556}, Point{15.087269, 37.502669}
	d, in := Area{Center: palermo, Radius: 200e3}.Contains(catania)
	fmt.Printf("%.0f km, %v\n", d/1000, in)
	// Output: 166 km, true
}

func BenchmarkDistance(b *testing.B) {
	p, q := Point{13.361389, 38.115556}, Point{15.087269, 37.502669}
	for b.Loop() {
		Distance(p, q)
	}
}
