package lua

import "testing"

func TestGoFunctionCall(t *testing.T) {
	s := New(Options{})
	add := s.NewFunction(func(c *Call) { c.Return(Number(c.CheckNumber(1) + c.CheckNumber(2))) })
	vs, err := s.Call(add, Number(1), String("2"))
	if err != nil || len(vs) != 1 || !RawEqual(vs[0], Number(3)) {
		t.Fatalf("got %v, %v", vs, err)
	}
	_, err = s.Call(add, Number(1))
	if err == nil || err.Error() != "bad argument #2 to '?' (number expected, got no value)" {
		t.Fatalf("got %v", err)
	}
	tbl := s.NewTable(0, 0)
	for i := 1; i <= 100; i++ {
		tbl.Append(Number(float64(i)))
		tbl.SetField(FormatNumber(float64(i))+"x", True)
	}
	if tbl.Len() != 100 || !tbl.GetField("7x").Truthy() || !RawEqual(tbl.GetInt(9), Number(9)) {
		t.Fatal(tbl.Len())
	}
}
