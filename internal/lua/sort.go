package lua

// sorter sorts a table as the reference implementation does, step by step: what it makes of
// equal elements and of comparisons that contradict themselves can be seen.
type sorter struct {
	call *Call
	t    *Table
	less Value // a function, or Nil for <
}

func tableSort(c *Call) {
	t := c.CheckTable(1)
	n := t.Len()
	less := c.Arg(2)
	if !less.IsNil() {
		c.CheckFunction(2)
	}
	s := &sorter{call: c, t: t, less: less}
	s.sort(1, n)
}

func (s *sorter) isLess(a, b Value) bool {
	s.call.Step(1)
	if s.less.IsNil() {
		return s.call.thread.lessThan(a, b)
	}
	return s.call.CallFirst(s.less, a, b).Truthy()
}

func (s *sorter) set(i int, v Value) {
	checkWritable(s.t)
	s.t.SetInt(i, v)
}

// order swaps elements i and j, i before j, if they are in the wrong order.
func (s *sorter) order(i, j int) bool {
	a, b := s.t.GetInt(i), s.t.GetInt(j)
	if !s.isLess(b, a) {
		return false
	}
	s.set(i, b)
	s.set(j, a)
	return true
}

// sort is quicksort with the median of three as the pivot, and recursion into the smaller
// part.
func (s *sorter) sort(low, high int) {
	for low < high {
		s.order(low, high)
		if high-low == 1 {
			return
		}
		middle := (low + high) / 2
		if !s.order(low, middle) {
			s.order(middle, high)
		}
		if high-low == 2 {
			return
		}
		pivot := s.t.GetInt(middle)
		s.set(middle, s.t.GetInt(high-1))
		s.set(high-1, pivot)
		i := s.partition(low, high, pivot)
		if i-low < high-i {
			s.sort(low, i-1)
			low = i + 1
		} else {
			s.sort(i+1, high)
			high = i - 1
		}
	}
}

// partition moves what is less than the pivot, which is at high-1, before the others, and
// returns where it puts the pivot between.
func (s *sorter) partition(low, high int, pivot Value) int {
	i, j := low, high-1
	for {
		i++
		a := s.t.GetInt(i)
		for s.isLess(a, pivot) {
			if i > high {
				s.call.Errorf("invalid order function for sorting")
			}
			i++
			a = s.t.GetInt(i)
		}
		j--
		b := s.t.GetInt(j)
		for s.isLess(pivot, b) {
			if j < low {
				s.call.Errorf("invalid order function for sorting")
			}
			j--
			b = s.t.GetInt(j)
		}
		if j < i {
			break
		}
		s.set(i, b)
		s.set(j, a)
	}
	a, b := s.t.GetInt(high-1), s.t.GetInt(i)
	s.set(high-1, b)
	s.set(i, a)
	return i
}
