package lua

// lrand48 is the generator of the C function of that name, which Redis uses for math.random
// on every platform.
type lrand48 struct{ x uint64 } // 48 bits

// lrand48Start is where the C function begins.
var lrand48Start = lrand48{0x1234ABCD330E}

const randMax = 1<<31 - 1

func (r *lrand48) seed(n int32) { r.x = uint64(uint32(n))<<16 | 0x330E }

// next returns a number from 0 to randMax.
func (r *lrand48) next() int32 {
	r.x = (r.x*0x5DEECE66D + 0xB) & (1<<48 - 1)
	return int32(r.x >> 17)
}
