package hll

import "math"

// histogram is how many registers have each value.
type histogram [registerMost + 1]int

// Count estimates how many different elements the Sketch has seen. What it remembers of that
// does not matter.
func (s *Sketch) Count() (uint64, error) {
	var h histogram
	if !s.Dense() {
		err := s.eachRun(func(_, n int, value byte) { h[value] += n })
		return h.estimate(), err
	}
	for b := s.b[headerSize:]; len(b) >= 3; b = b[3:] { // four registers
		v := uint(b[0]) | uint(b[1])<<8 | uint(b[2])<<16
		h[v&63]++
		h[v>>6&63]++
		h[v>>12&63]++
		h[v>>18]++
	}
	return h.estimate(), nil
}

// Count estimates how many different elements the Sketches have seen together.
func (m *Maxima) Count() uint64 {
	var h histogram
	for _, v := range m {
		h[v&registerMost]++
	}
	return h.estimate()
}

// zerosBits is how many bits of a hash are looked at for zeros.
const zerosBits = 64 - indexBits

// alpha is 0.5/ln(2).
const alpha = 0.721347520444481703680

// estimate is the estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
// sketches", arXiv:1702.01284. Products are rounded before they are added (the conversions see
// to that), so that every machine comes to the same number.
func (h *histogram) estimate() uint64 {
	const m = float64(Registers)
	z := m * tau((m-float64(h[zerosBits+1]))/m)
	for j := zerosBits; j >= 1; j-- {
		z = (z + float64(h[j])) * 0.5
	}
	z += float64(m * sigma(float64(h[0])/m))
	n := math.Round(alpha * m * m / z)
	if n >= 1<<63 { // the registers are those of no set at all
		return 1 << 63
	}
	return uint64(n)
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= float64((1 - x) * (1 - x) * y)
		if z == before {
			return z / 3
		}
	}
}
