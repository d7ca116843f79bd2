package command

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/internal/geohash"
	"github.com/elastickv/elastickv/internal/keyspace"
)

const costOfArea = "O(N+log(M)) where N is the number of members in the cells that the area touches and M the length of the sorted set"

var geoCommands = []*Command{
	{Name: "geoadd", Arity: -5, Flags: Write | DenyOOM, Group: GroupGeo, Keys: oneKey(KeyRW | KeyUpdate), Run: geoadd,
		Syntax: "key [condition(NX | XX)@6.2.0] [change=CH@6.2.0] data(longitude latitude member)...",
		Since:  "3.2.0", Complexity: "O(N*log(M)) where N is the number of places given and M the length of the sorted set", Summary: "Puts places into a sorted set, by numbers that are close if the places are."},
	{Name: "geohash", Arity: -2, Flags: ReadOnly, Group: GroupGeo, Keys: oneKey(KeyRO | KeyAccess), Run: geohashOf,
		Syntax: "key [member...]",
		Since:  "3.2.0", Complexity: "O(N) where N is the number of members asked for", Summary: "Returns the places of members as geohashes."},
	{Name: "geopos", Arity: -2, Flags: ReadOnly, Group: GroupGeo, Keys: oneKey(KeyRO | KeyAccess), Run: geopos,
		Syntax: "key [member...]",
		Since:  "3.2.0", Complexity: "O(N) where N is the number of members asked for", Summary: "Returns the places of members as longitudes and latitudes."},
	{Name: "geodist", Arity: -4, Flags: ReadOnly, Group: GroupGeo, Keys: oneKey(KeyRO | KeyAccess), Run: geodist,
		Syntax: "key member1 member2 [unit(M | KM | FT | MI)]",
		Since:  "3.2.0", Complexity: "O(1)", Summary: "Returns the distance of the places of two members."},
	{Name: "geosearch", Arity: -7, Flags: ReadOnly, Group: GroupGeo, Keys: oneKey(KeyRO | KeyAccess), Run: geosearch,
		Syntax: "key from(FROMMEMBER member | FROMLONLAT (longitude latitude)) by(circle(BYRADIUS radius unit(M | KM | FT | MI)) | box(BYBOX width height unit(M | KM | FT | MI))) [order(ASC | DESC)] [count-block(COUNT count [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]", History: []string{"7.0.0 Takes units in capitals."},
		Since: "6.2.0", Complexity: costOfArea, Summary: "Returns the members whose places lie in a circle or a box."},
	{Name: "geosearchstore", Arity: -8, Flags: Write | DenyOOM, Group: GroupGeo, Keys: []KeySpec{keyAt(1, KeyOW|KeyUpdate), keyAt(2, KeyRO|KeyAccess)}, Run: geosearchstore,
		Syntax: "destination source from(FROMMEMBER member | FROMLONLAT (longitude latitude)) by(circle(BYRADIUS radius unit(M | KM | FT | MI)) | box(BYBOX width height unit(M | KM | FT | MI))) [order(ASC | DESC)] [count-block(COUNT count [ANY])] [STOREDIST]", History: []string{"7.0.0 Takes units in capitals."},
		Since: "6.2.0", Complexity: costOfArea, Summary: "Stores the members whose places lie in a circle or a box."},
	{Name: "georadius", Arity: -6, Flags: Write | DenyOOM | MovableKeys, Group: GroupGeo, Keys: radiusKeys(6), FindKeys: findRadiusKeys(6), Run: georadius, MayWrite: storesAt(6),
		Syntax: "key longitude latitude radius unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count [ANY@6.2.0])] [order(ASC | DESC)] [store(STORE storekey=key | STOREDIST storedistkey=key)]", History: []string{"7.0.0 Takes units in capitals."},
		Since: "3.2.0", Deprecated: "6.2.0", Instead: "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS`", Complexity: costOfArea, Summary: "Returns or stores the members whose places lie in a circle around a place."},
	{Name: "georadius_ro", Arity: -6, Flags: ReadOnly, Group: GroupGeo, Keys: oneKey(KeyRO | KeyAccess), Run: georadiusRO,
		Syntax: "key longitude latitude radius unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count [ANY@6.2.0])] [order(ASC | DESC)]",
		Since:  "3.2.10", Deprecated: "6.2.0", Instead: "`GEOSEARCH` with `BYRADIUS`", Complexity: costOfArea, Summary: "Returns the members whose places lie in a circle around a place."},
	{Name: "georadiusbymember", Arity: -5, Flags: Write | DenyOOM | MovableKeys, Group: GroupGeo, Keys: radiusKeys(5), FindKeys: findRadiusKeys(5), Run: georadiusbymember, MayWrite: storesAt(5),
		Syntax: "key member radius unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count [ANY])] [order(ASC | DESC)] [store(STORE storekey=key | STOREDIST storedistkey=key)]", History: []string{"7.0.0 Takes units in capitals."},
		Since: "3.2.0", Deprecated: "6.2.0", Instead: "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS` and `FROMMEMBER`", Complexity: costOfArea, Summary: "Returns or stores the members whose places lie in a circle around a member's."},
	{Name: "georadiusbymember_ro", Arity: -5, Flags: ReadOnly, Group: GroupGeo, Keys: oneKey(KeyRO | KeyAccess), Run: georadiusbymemberRO,
		Syntax: "key member radius unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count [ANY])] [order(ASC | DESC)]",
		Since:  "3.2.10", Deprecated: "6.2.0", Instead: "`GEOSEARCH` with `BYRADIUS` and `FROMMEMBER`", Complexity: costOfArea, Summary: "Returns the members whose places lie in a circle around a member's."},
}

// radiusKeys is the spec of GEORADIUS and its kin, whose options begin at an argument.
func radiusKeys(options int) []KeySpec {
	return []KeySpec{
		keyAt(1, KeyRO|KeyAccess),
		{Flags: KeyOW | KeyUpdate, Index: options, Keyword: "STORE", Step: 1},
		{Flags: KeyOW | KeyUpdate, Index: options, Keyword: "STOREDIST", Step: 1},
	}
}

// findRadiusKeys finds the keys of a call whose options begin at an argument: those that the specs find, which are the
// targets of the first STORE and of the first STOREDIST, and that of the last of either, which is the one that counts.
func findRadiusKeys(options int) func(args [][]byte) []Key {
	specs := radiusKeys(options)
	return func(args [][]byte) []Key {
		var keys []Key
		for _, spec := range specs {
			found, _ := spec.keys(args)
			keys = append(keys, found...)
		}
		last := 0
		for i := options; i < len(args)-1; i++ {
			if word := strings.ToUpper(string(clip(args[i], 10))); word == "STORE" || word == "STOREDIST" {
				i++
				last = i
			}
		}
		if last > 0 && !slices.ContainsFunc(keys, func(k Key) bool { return k.At == last }) {
			keys = append(keys, Key{last, KeyOW | KeyUpdate})
		}
		return keys
	}
}

// storesAt reports for a call whose options begin at an argument whether one of them may be
// STORE or STOREDIST.
func storesAt(options int) func(args [][]byte) bool {
	return func(args [][]byte) bool {
		for _, a := range args[min(options, len(args)):] {
			if w := string(a); strings.EqualFold(w, "STORE") || strings.EqualFold(w, "STOREDIST") {
				return true
			}
		}
		return false
	}
}

// geoadd is ZADD with the numbers of places as scores.
func geoadd(c *Ctx) error {
	i, absent, present := 2, false, false
	for ; i < len(c.Args); i++ {
		if c.is(i, "NX") {
			absent = true
		} else if c.is(i, "XX") {
			present = true
		} else if !c.is(i, "CH") {
			break
		}
	}
	if (len(c.Args)-i)%3 != 0 || absent && present {
		return ErrSyntax
	}
	args := append(make([][]byte, 0, len(c.Args)), c.Args[:i]...)
	for ; i < len(c.Args); i += 3 {
		p, err := c.point(i)
		if err != nil {
			return err
		}
		args = append(args, formatInt(int64(geohash.Encode(p))), c.Args[i+2])
	}
	add := *c
	add.Args = args
	return zadd(&add)
}

// point reads arguments i and i+1 as a place.
func (c *Ctx) point(i int) (p geohash.Point, err error) {
	if p.Lon, err = parseFloat(c.Args[i]); err != nil {
		return p, err
	}
	if p.Lat, err = parseFloat(c.Args[i+1]); err != nil {
		return p, err
	}
	if !p.Valid() {
		return p, errInvalidPoint(p.Lon, p.Lat)
	}
	return p, nil
}

// meters reads argument i as a unit of length, and returns how many meters it has.
func (c *Ctx) meters(i int) (float64, error) {
	switch {
	case c.is(i, "M"):
		return 1, nil
	case c.is(i, "KM"):
		return 1000, nil
	case c.is(i, "FT"):
		return 0.3048, nil
	case c.is(i, "MI"):
		return 1609.34, nil
	}
	return 0, ErrGeoUnit
}

// geoNumber is the number of the place that a score stands for, be it one that nobody has made of
// a place.
func geoNumber(score float64) uint64 {
	switch {
	case score >= 0 && score < 1<<63:
		return uint64(score)
	case score < 0 && score >= -1<<63:
		return uint64(int64(score))
	}
	return 1 << 63
}

// placeOf returns the place of a member, and whether the member is there.
func placeOf(z *keyspace.ZSet, member []byte) (geohash.Point, bool, error) {
	score, ok, err := z.Score(member)
	if err != nil || !ok {
		return geohash.Point{}, false, err
	}
	return geohash.Decode(geoNumber(score)), true, nil
}

// eachPlace calls reply for the members named behind the key, and missing for those that are not
// there.
func (c *Ctx) eachPlace(reply func(n uint64), missing func()) error {
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		score, ok, err := z.Score(member)
		if err != nil {
			return err
		}
		if ok {
			reply(geoNumber(score))
		} else {
			missing()
		}
	}
	return nil
}

func geohashOf(c *Ctx) error {
	return c.eachPlace(func(n uint64) { c.Out.BulkString(geohash.Text(n)) }, c.Out.Null)
}

func geopos(c *Ctx) error {
	return c.eachPlace(func(n uint64) { c.replyPoint(geohash.Decode(n)) }, c.Out.NullArray)
}

func (c *Ctx) replyPoint(p geohash.Point) {
	c.Out.Array(2)
	c.Out.DoubleDigits(coordinate(p.Lon))
	c.Out.DoubleDigits(coordinate(p.Lat))
}

// coordinate prints degrees with 17 decimals, or as many as are not zero.
func coordinate(f float64) string {
	s := strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 17, 64), "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

func geodist(c *Ctx) error {
	unit := 1.0
	var err error
	if len(c.Args) == 5 {
		if unit, err = c.meters(4); err != nil {
			return err
		}
	} else if len(c.Args) > 5 {
		return ErrSyntax
	}
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	a, ok, err := placeOf(z, c.Args[2])
	if err != nil || !ok {
		c.Out.Null()
		return err
	}
	b, ok, err := placeOf(z, c.Args[3])
	if err != nil || !ok {
		c.Out.Null()
		return err
	}
	c.Out.BulkString(formatDistance(geohash.Distance(a, b) / unit))
	return nil
}

// formatDistance prints a distance with four decimals.
func formatDistance(d float64) string {
	return strconv.FormatFloat(math.RoundToEven(d*1e4)/1e4, 'f', 4, 64)
}
