package command

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/elastickv/elastickv/internal/geohash"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/pqsort"
)

// geoQuery is one call that looks for places in an area. What the name of the command fixes is
// set before run.
type geoQuery struct {
	key     int  // argument
	options int  // argument at which they begin
	search  bool // is GEOSEARCH or GEOSEARCHSTORE, whose area is given by options
	noStore bool // STORE and STOREDIST are no options
	target  []byte
	event   string // of a target

	z     *keyspace.ZSet
	area  geohash.Area
	unit  float64 // meters
	shape bool    // is known

	fromMember, fromPlace           bool
	withDist, withHash, withCoord   bool
	storeDist, ascending, backwards bool
	any                             bool  // whatever is found first will do
	count                           int64 // places wanted; 0: all
}

// found is a place in the area.
type found struct {
	member   []byte
	score    float64
	distance float64 // from the center, in meters
	place    geohash.Point
}

func geosearch(c *Ctx) error {
	q := geoQuery{key: 1, options: 2, search: true, noStore: true}
	return q.run(c, (*geoQuery).nothingFixed)
}

func geosearchstore(c *Ctx) error {
	q := geoQuery{key: 2, options: 3, search: true, noStore: true, target: c.Args[1], event: "geosearchstore"}
	return q.run(c, (*geoQuery).nothingFixed)
}

func georadius(c *Ctx) error {
	q := geoQuery{key: 1, options: 6, event: "georadiusstore"}
	return q.run(c, (*geoQuery).aroundPlace)
}

func georadiusRO(c *Ctx) error {
	q := geoQuery{key: 1, options: 6, noStore: true}
	return q.run(c, (*geoQuery).aroundPlace)
}

func georadiusbymember(c *Ctx) error {
	q := geoQuery{key: 1, options: 5, event: "georadiusstore"}
	return q.run(c, (*geoQuery).aroundMember)
}

func georadiusbymemberRO(c *Ctx) error {
	q := geoQuery{key: 1, options: 5, noStore: true}
	return q.run(c, (*geoQuery).aroundMember)
}

// run carries out the query. fixed reads the arguments between key and options.
func (q *geoQuery) run(c *Ctx, fixed func(*geoQuery, *Ctx) error) (err error) {
	if q.z, err = c.Keys.Reading().ZSet(c.Args[q.key]); err != nil {
		return err
	}
	if err := fixed(q, c); err != nil {
		return err
	}
	for i := q.options; i < len(c.Args); {
		n, err := q.option(c, i)
		if err != nil {
			return err
		}
		i += n
	}
	if err := q.check(c); err != nil {
		return err
	}
	var places []found
	if q.z.Exists() {
		if places, err = q.find(); err != nil {
			return err
		}
	}
	places = q.arrange(places)
	if q.target != nil {
		return q.store(c, places)
	}
	q.reply(c, places)
	return nil
}

func (q *geoQuery) nothingFixed(*Ctx) error { return nil }

func (q *geoQuery) aroundPlace(c *Ctx) (err error) {
	if q.area.Center, err = c.point(2); err != nil {
		return err
	}
	return q.radius(c, 4)
}

// aroundMember does not look at the radius if there is nothing to search.
func (q *geoQuery) aroundMember(c *Ctx) error {
	if !q.z.Exists() {
		return nil
	}
	if err := q.memberAt(c, 2); err != nil {
		return err
	}
	return q.radius(c, 3)
}

func (q *geoQuery) memberAt(c *Ctx, i int) error {
	p, ok, err := placeOf(q.z, c.Args[i])
	if err == nil && !ok {
		err = ErrGeoMember
	}
	q.area.Center = p
	return err
}

// radius reads arguments i and i+1 as a number and its unit.
func (q *geoQuery) radius(c *Ctx, i int) error {
	r, err := parseFloat(c.Args[i])
	switch {
	case err != nil:
		return ErrGeoRadius
	case r < 0:
		return ErrGeoNegativeRadius
	}
	q.unit, err = c.meters(i + 1)
	q.area.Box, q.area.Radius = false, r*q.unit
	return err
}

// box reads arguments i to i+2 as width, height and their unit.
func (q *geoQuery) box(c *Ctx, i int) error {
	w, err := parseFloat(c.Args[i])
	if err != nil {
		return ErrGeoWidth
	}
	h, err := parseFloat(c.Args[i+1])
	switch {
	case err != nil:
		return ErrGeoHeight
	case w < 0 || h < 0:
		return ErrGeoNegativeBox
	}
	q.unit, err = c.meters(i + 2)
	q.area.Box, q.area.Width, q.area.Height = true, w*q.unit, h*q.unit
	return err
}

// option reads the option at argument i and returns how many arguments it takes.
func (q *geoQuery) option(c *Ctx, i int) (int, error) {
	behind := len(c.Args) - i - 1
	switch {
	case c.is(i, "WITHDIST"):
		q.withDist = true
	case c.is(i, "WITHHASH"):
		q.withHash = true
	case c.is(i, "WITHCOORD"):
		q.withCoord = true
	case c.is(i, "ANY"):
		q.any = true
	case c.is(i, "ASC"):
		q.ascending, q.backwards = true, false
	case c.is(i, "DESC"):
		q.ascending, q.backwards = false, true
	case c.is(i, "COUNT") && behind >= 1:
		return 2, q.countArg(c, i+1)
	case q.search:
		return q.areaOption(c, i)
	case c.is(i, "STORE") && behind >= 1 && !q.noStore:
		q.target, q.storeDist = c.Args[i+1], false
		return 2, nil
	case c.is(i, "STOREDIST") && behind >= 1 && !q.noStore:
		q.target, q.storeDist = c.Args[i+1], true
		return 2, nil
	default:
		return 0, ErrSyntax
	}
	return 1, nil
}

func (q *geoQuery) countArg(c *Ctx, i int) (err error) {
	if q.count, err = c.int(i); err == nil && q.count <= 0 {
		err = ErrGeoCount
	}
	return err
}

// areaOption is option for those that only GEOSEARCH and GEOSEARCHSTORE have.
func (q *geoQuery) areaOption(c *Ctx, i int) (n int, err error) {
	behind := len(c.Args) - i - 1
	switch {
	case c.is(i, "STOREDIST") && q.target != nil:
		q.storeDist = true
		return 1, nil
	case c.is(i, "FROMMEMBER") && behind >= 1 && !q.fromPlace:
		if q.fromMember = true; q.z.Exists() {
			err = q.memberAt(c, i+1)
		}
		return 2, err
	case c.is(i, "FROMLONLAT") && behind >= 2 && !q.fromMember:
		q.fromPlace = true
		q.area.Center, err = c.point(i + 1)
		return 3, err
	case c.is(i, "BYRADIUS") && behind >= 2 && !(q.shape && q.area.Box):
		q.shape = true
		return 3, q.radius(c, i+1)
	case c.is(i, "BYBOX") && behind >= 3 && !(q.shape && !q.area.Box):
		q.shape = true
		return 4, q.box(c, i+1)
	}
	return 0, ErrSyntax
}

// check refuses options that do not go together or are not enough.
func (q *geoQuery) check(c *Ctx) error {
	switch {
	case q.target != nil && (q.withDist || q.withHash || q.withCoord):
		if q.search {
			return errGeoStoreWith("GEOSEARCHSTORE")
		}
		return errGeoStoreWith("STORE option in GEORADIUS")
	case q.search && !q.fromMember && !q.fromPlace:
		return errGeoNoCenter(c.Args[0])
	case q.search && !q.shape:
		return errGeoNoShape(c.Args[0])
	case q.any && q.count == 0:
		return ErrGeoAny
	}
	return nil
}

// find returns the places in the area: all, or with ANY the first that it comes upon.
func (q *geoQuery) find() ([]found, error) {
	var out []found
	enough := func() bool { return q.any && int64(len(out)) >= q.count }
	for _, r := range q.area.Ranges() {
		if enough() {
			break
		}
		scores := keyspace.ByScore(keyspace.ScoreRange{Min: float64(r.Min), Max: float64(r.Max), MaxOpen: true})
		err := q.z.Walk(scores, func(member []byte, score float64) bool {
			p := geohash.Decode(geoNumber(score))
			if d, ok := q.area.Contains(p); ok {
				out = append(out, found{bytes.Clone(member), score, d, p})
			}
			return !enough()
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// arrange puts places in the order that is wanted and returns those that are.
func (q *geoQuery) arrange(places []found) []found {
	wanted := int64(len(places))
	if q.count > 0 {
		wanted = min(wanted, q.count)
	}
	var order func(a, b found) int
	switch {
	case q.backwards:
		order = func(a, b found) int { return cmp.Compare(b.distance, a.distance) }
	case q.ascending || q.count > 0 && !q.any: // the nearest, if only some are wanted
		order = func(a, b found) int { return cmp.Compare(a.distance, b.distance) }
	default:
		return places[:wanted]
	}
	if wanted == int64(len(places)) {
		slices.SortStableFunc(places, order)
	} else {
		pqsort.Sort(places, 0, int(wanted)-1, order)
	}
	return places[:wanted]
}

func (q *geoQuery) store(c *Ctx, places []found) error {
	c.Out.Int(int64(len(places)))
	if len(places) == 0 {
		_, err := c.remove(q.target)
		return err
	}
	members := make([]keyspace.ScoredMember, len(places))
	for i, p := range places {
		members[i] = keyspace.ScoredMember{Member: p.member, Score: p.score}
		if q.storeDist {
			members[i].Score = p.distance / q.unit
		}
	}
	return c.notedAt(keyspace.Event{Class: keyspace.ClassZSet, Name: q.event, Key: q.target}, c.Keys.StoreZSet(q.target, members))
}

func (q *geoQuery) reply(c *Ctx, places []found) {
	details := boolInt(q.withDist) + boolInt(q.withHash) + boolInt(q.withCoord)
	c.Out.Array(len(places))
	for _, p := range places {
		if details > 0 {
			c.Out.Array(1 + details)
		}
		c.Out.Bulk(p.member)
		if q.withDist {
			c.Out.BulkString(formatDistance(p.distance / q.unit))
		}
		if q.withHash {
			c.Out.Int(int64(p.score))
		}
		if q.withCoord {
			c.replyPoint(p.place)
		}
	}
}
