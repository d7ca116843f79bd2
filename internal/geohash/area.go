package geohash

import "math"

// Area is a part of the Earth: a circle, or a box between parallels.
type Area struct {
	Center        Point
	Box           bool
	Radius        float64 // of a circle, in meters
	Width, Height float64 // of a box, in meters
}

// Contains returns the distance of a place from the center in meters, and whether the place lies
// in the area. The distance of one that does not may be 0.
func (a Area) Contains(p Point) (float64, bool) {
	if a.Box {
		if northSouth(p.Lat, a.Center.Lat) > a.Height/2 || Distance(p, Point{a.Center.Lon, p.Lat}) > a.Width/2 {
			return 0, false
		}
		return Distance(a.Center, p), true
	}
	d := Distance(a.Center, p)
	return d, !(d > a.Radius)
}

// Range is the numbers of places from Min on, up to but not including Max.
type Range struct{ Min, Max uint64 }

// Ranges returns where the numbers of all places in the area lie, in the order in which they are
// to be searched: those of a cell around the center, then of those around it that the area
// touches. They do not overlap.
func (a Area) Ranges() []Range {
	box := a.bounds()
	steps := a.steps()
	c := cellOf(a.Center, steps, latMost)
	if steps > 1 && !c.surroundedBy(box) {
		steps--
		c = cellOf(a.Center, steps, latMost)
	}
	return c.touched(box)
}

// radius is the distance of the farthest place of the area from its center.
func (a Area) radius() float64 {
	if a.Box {
		w, h := a.Width/2, a.Height/2
		return math.Sqrt(float64(w*w) + float64(h*h))
	}
	return a.Radius
}

// mapSize is about half of the length of the equator on the map, in meters.
const mapSize = 20037726.37

// steps is about the number of halvings of the map that make cells as large as the area.
func (a Area) steps() int {
	radius, lat := a.radius(), math.Abs(a.Center.Lat)
	if radius == 0 {
		return Steps
	}
	steps := -1
	for ; radius < mapSize; radius *= 2 {
		steps++
	}
	if lat > 66 { // cells are narrow there
		steps--
	}
	if lat > 80 {
		steps--
	}
	return min(max(steps, 1), Steps)
}

// bounds are edges between which the area lies, or about so: they decide only which cells
// beside that of the center can be left out.
func (a Area) bounds() bounds {
	width, height := a.Radius, a.Radius
	if a.Box {
		width, height = a.Width/2, a.Height/2
	}
	lat := height / earthRadius / degree
	edge := a.Center.Lat + lat // the narrower one of the southern hemisphere lies in the south
	if a.Center.Lat < 0 {
		edge = a.Center.Lat - lat
	}
	lon := width / earthRadius / math.Cos(radians(edge)) / degree
	return bounds{
		west: a.Center.Lon - lon, east: a.Center.Lon + lon,
		south: a.Center.Lat - lat, north: a.Center.Lat + lat,
	}
}

// surroundedBy reports whether box does not reach beyond the cells around c.
func (c cell) surroundedBy(box bounds) bool {
	return !(c.move(0, 1).bounds().north < box.north || c.move(0, -1).bounds().south > box.south ||
		c.move(1, 0).bounds().east < box.east || c.move(-1, 0).bounds().west > box.west)
}

// around are the directions in which the cells around one are searched.
var around = [...]struct{ east, north int }{
	{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1},
}

// touched returns the ranges of c and of those cells around it that are not beyond an edge of
// box that lies in c. Cells of halves of the map are all searched.
func (c cell) touched(box bounds) []Range {
	edges := c.bounds()
	var out []Range
	for _, d := range around {
		if c.steps >= 2 && (d.north < 0 && edges.south < box.south || d.north > 0 && edges.north > box.north ||
			d.east < 0 && edges.west < box.west || d.east > 0 && edges.east > box.east) {
			continue
		}
		r := c.move(d.east, d.north).numbers()
		if len(out) > 0 && out[len(out)-1] == r { // two columns or rows are all there are
			continue
		}
		out = append(out, r)
	}
	return out
}

// numbers are those of the places in the cell.
func (c cell) numbers() Range {
	unused := 2 * (Steps - c.steps)
	return Range{c.bits << unused, (c.bits + 1) << unused}
}
