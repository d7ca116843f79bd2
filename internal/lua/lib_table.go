package lua

var tableEntries = []Entry{
	{"concat", tableConcat},
	{"foreach", tableForEach},
	{"foreachi", tableForEachI},
	{"getn", func(c *Call) { c.Return(Number(float64(c.CheckTable(1).Len()))) }},
	{"maxn", tableMaxN},
	{"insert", tableInsert},
	{"remove", tableRemove},
	{"setn", tableSetN},
	{"sort", tableSort},
}

func tableConcat(c *Call) {
	separator := c.OptString(2, "")
	t := c.CheckTable(1)
	from := c.optInt32(3, 1)
	to := t.Len()
	if !c.Arg(4).IsNil() {
		to = c.checkInt32(4)
	}
	b := textBuilder{state: c.state}
	for i := from; i <= to; i++ {
		v := t.GetInt(i)
		switch {
		case v.isString():
			b.add(v.str())
		case v.isNumber():
			b.grow(numberTextMax)
			b.bytes = appendNumber(b.bytes, v.number())
		default:
			c.Errorf("invalid value (%s) at index %d in table for 'concat'", v.Kind(), i)
		}
		if i < to {
			b.add(separator)
		}
		c.Step(1)
	}
	c.Return(b.value())
}

func tableForEach(c *Call) {
	t := c.CheckTable(1)
	fn := FunctionValue(c.CheckFunction(2))
	for k, v := t.Next(Nil); !k.IsNil(); k, v = t.Next(k) {
		if result := c.CallFirst(fn, k, v); !result.IsNil() {
			c.Return(result)
			return
		}
		c.Step(1)
	}
}

func tableForEachI(c *Call) {
	t := c.CheckTable(1)
	n := t.Len()
	fn := FunctionValue(c.CheckFunction(2))
	for i := 1; i <= n; i++ {
		if result := c.CallFirst(fn, Number(float64(i)), t.GetInt(i)); !result.IsNil() {
			c.Return(result)
			return
		}
		c.Step(1)
	}
}

func tableMaxN(c *Call) {
	t := c.CheckTable(1)
	highest := 0.0
	for k, _ := t.Next(Nil); !k.IsNil(); k, _ = t.Next(k) {
		if f, ok := k.AsNumber(); ok && f > highest {
			highest = f
		}
		c.Step(1)
	}
	c.Return(Number(highest))
}

func tableInsert(c *Call) {
	t := c.CheckTable(1)
	end := t.Len() + 1
	at := end
	switch len(c.args) {
	case 2:
	case 3:
		at = c.checkInt32(2)
		end = max(end, at)
		if at < end {
			checkWritable(t)
		}
		for i := end; i > at; i-- {
			t.SetInt(i, t.GetInt(i-1))
			c.Step(1)
		}
	default:
		c.Errorf("wrong number of arguments to 'insert'")
	}
	checkWritable(t)
	t.SetInt(at, c.args[len(c.args)-1])
}

func tableRemove(c *Call) {
	t := c.CheckTable(1)
	end := t.Len()
	at := c.optInt32(2, end)
	if at < 1 || at > end {
		return
	}
	checkWritable(t)
	c.Return(t.GetInt(at))
	for i := at; i < end; i++ {
		t.SetInt(i, t.GetInt(i+1))
		c.Step(1)
	}
	t.SetInt(end, Nil)
}

func tableSetN(c *Call) {
	c.CheckTable(1)
	c.Errorf("'setn' is obsolete")
}
