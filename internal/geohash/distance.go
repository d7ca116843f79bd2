package geohash

import "math"

const (
	earthRadius = 6372797.560856 // meters
	degree      = math.Pi / 180
)

// Distance returns the distance of two places along a great circle, in meters (haversine). As
// places a few meters apart need no less precision than others, nothing is simplified but
// for places on one meridian.
func Distance(a, b Point) float64 {
	v := sin((radians(b.Lon) - radians(a.Lon)) / 2)
	if v == 0 {
		return northSouth(a.Lat, b.Lat)
	}
	lat1, lat2 := radians(a.Lat), radians(b.Lat)
	u := sin((lat2 - lat1) / 2)
	h := float64(u*u) + float64(cos(lat1)*cos(lat2)*v*v)
	return 2 * earthRadius * asin(math.Sqrt(h))
}

// northSouth is the distance of two latitudes in meters.
func northSouth(lat1, lat2 float64) float64 {
	return earthRadius * math.Abs(radians(lat2)-radians(lat1))
}

// radians rounds the product, so that no machine adds to it what it has not rounded.
func radians(degrees float64) float64 { return float64(degrees * degree) }
