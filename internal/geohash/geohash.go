package geohash

// Limits of coordinates, in degrees: those of the Mercator projection that maps use
// (EPSG:3857). The poles lie beyond. Part of the format, never change.
const (
	lonMost = 180.0
	latMost = 85.05112878
)

// Steps is the number of bits of each coordinate in a place's number.
const Steps = 26

// Point is a place.
type Point struct{ Lon, Lat float64 } // degrees

// Valid reports whether a place has a number.
func (p Point) Valid() bool {
	return p.Lon >= -lonMost && p.Lon <= lonMost && p.Lat >= -latMost && p.Lat <= latMost
}

// Encode returns the number of a valid place: the bits of both coordinates by turns, those of
// the longitude first.
func Encode(p Point) uint64 { return cellOf(p, Steps, latMost).bits }

// Decode returns the middle of the cell that has the number n.
func Decode(n uint64) Point {
	b := cell{n, Steps}.bounds()
	return Point{
		Lon: min(max((b.west+b.east)/2, -lonMost), lonMost),
		Lat: min(max((b.south+b.north)/2, -latMost), latMost),
	}
}

const alphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

// Text returns the geohash, as geohash.org writes it, of the middle of the cell that has the
// number n. It has 11 letters, of which the last is always 0, since the bits end before it.
func Text(n uint64) string {
	bits := cellOf(Decode(n), Steps, 90).bits
	var b [11]byte
	b[10] = alphabet[0]
	for i := range 10 {
		b[i] = alphabet[bits>>(2*Steps-5*(i+1))&31]
	}
	return string(b[:])
}

// cell is a part of the map: all of it halved so many times in each direction.
type cell struct {
	bits  uint64
	steps int
}

// cellOf returns the cell that a place lies in, on a map that ends at the latitude most.
func cellOf(p Point, steps int, most float64) cell {
	size := float64(uint64(1) << steps)
	lat := (p.Lat + most) / (2 * most) * size
	lon := (p.Lon + lonMost) / (2 * lonMost) * size
	return cell{spread(uint32(lat)) | spread(uint32(lon))<<1, steps}
}

// spread puts a zero before each bit.
func spread(n uint32) uint64 {
	v := uint64(n)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	v = (v | v<<2) & 0x3333333333333333
	return (v | v<<1) & evenBits
}

// gather undoes spread; it does not look at the other bits.
func gather(v uint64) uint32 {
	v &= evenBits
	v = (v | v>>1) & 0x3333333333333333
	v = (v | v>>2) & 0x0f0f0f0f0f0f0f0f
	v = (v | v>>4) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint32(v | v>>16)
}

// evenBits are those of the latitude among the bits of a cell.
const evenBits = 0x5555555555555555

// bounds are the edges of a part of the map, in degrees.
type bounds struct{ west, south, east, north float64 }

func (c cell) bounds() bounds {
	lat, lon := gather(c.bits), gather(c.bits>>1)
	return bounds{
		west: c.degrees(lon, lonMost), east: c.degrees(lon+1, lonMost),
		south: c.degrees(lat, latMost), north: c.degrees(lat+1, latMost),
	}
}

// degrees returns the coordinate, of those from -most to most, at which column or row i begins.
func (c cell) degrees(i uint32, most float64) float64 {
	return -most + float64(float64(i)/float64(uint64(1)<<c.steps)*(2*most)) // rounded before it is added, on every machine
}

// move returns the cell some columns further east and rows further north, -1, 0 or 1 each. The
// map has no end: behind its edge comes the other one. Yet what lies on its eastern or northern
// edge has a column or row of its own, which a move along the other axis does not leave.
func (c cell) move(east, north int) cell {
	lon, lat := gather(c.bits>>1), gather(c.bits)
	mask := uint32(1)<<c.steps - 1
	if east != 0 {
		lon = (lon + uint32(east)) & mask
	}
	if north != 0 {
		lat = (lat + uint32(north)) & mask
	}
	return cell{spread(lat) | spread(lon)<<1, c.steps}
}
