package command

import "github.com/elastickv/elastickv/internal/keyspace"

// Elements are those arguments of a call that name elements of the collection at its first key: every Step-th one from
// First to Last, which count from the end if they are below 0. Step is below 0 if First is behind Last. Without a Step there are none.
//
// It is only about time: their rows can be asked for before the call is carried out.
type Elements struct{ First, Last, Step int }

func oneElement(at int) Elements { return Elements{at, at, 1} }

// allElements are the arguments behind the first key, with step-1 other arguments behind each.
func allElements(step int) Elements { return Elements{2, -1, step} }

// at returns the first position and the last one in n arguments.
func (e Elements) at(n int) (first, last int) {
	first, last = e.First, e.Last
	if first < 0 {
		first += n
	}
	if last < 0 {
		last += n
	}
	return first, last
}

// collections are the kinds of keys that the commands of a group work on, where those have elements with rows of their own.
var collections = map[Group]keyspace.Kind{
	GroupHash: keyspace.KindHash, GroupSet: keyspace.KindSet, GroupSortedSet: keyspace.KindZSet,
}

// LookAhead names what a call with the right number of arguments is going to look up, as far as that is known without looking.
func (c *Command) LookAhead(args [][]byte, a *keyspace.Ahead) {
	for _, spec := range c.Keys {
		first, last, ok := spec.span(args)
		for i := first; ok && i <= last; i += max(spec.Step, 1) {
			a.Key(args[i])
		}
	}
	e := c.Elements
	if e.Step == 0 {
		return
	}
	kind := collections[c.Group]
	first, last := e.at(len(args))
	for i := first; i > 1 && i < len(args) && (last-i)*e.Step >= 0; i += e.Step {
		a.Element(kind, args[1], args[i])
	}
}
