package lualib

import (
	"fmt"
	"math"

	"github.com/elastickv/elastickv/internal/lua"
)

// jsonConfig is how a cjson table encodes and decodes. Programs can change it.
type jsonConfig struct {
	sparseConvert bool // arrays with too many gaps become objects; else they are errors
	sparseRatio   int32
	sparseSafe    int32 // up to this index any array will do
	encodeDepth   int32
	decodeDepth   int32
	encodeInvalid int // numbers that JSON has not: see jsonInvalid
	decodeInvalid bool
	precision     int32
	keepBuffer    bool // of no effect
}

// jsonInvalid are the words for what to do with NaN and infinities: fail, write them as they
// are, write null.
var jsonInvalid = []string{"off", "on", "null"}

const (
	invalidOff = iota
	invalidOn
	invalidNull
)

// openJSON returns a new cjson table with settings of its own.
func openJSON(s *lua.State) *lua.Table {
	cfg := &jsonConfig{
		sparseRatio: 2, sparseSafe: 10, encodeDepth: 1000, decodeDepth: 1000, decodeInvalid: true, precision: 14, keepBuffer: true,
	}
	t := s.NewTable(0, 16)
	s.Register(t, []lua.Entry{
		{Name: "encode", Fn: cfg.encode},
		{Name: "decode", Fn: cfg.decode},
		{Name: "encode_sparse_array", Fn: cfg.setSparse},
		{Name: "encode_max_depth", Fn: func(c *lua.Call) { setInt(c, &cfg.encodeDepth, 1, math.MaxInt32) }},
		{Name: "decode_max_depth", Fn: func(c *lua.Call) { setInt(c, &cfg.decodeDepth, 1, math.MaxInt32) }},
		{Name: "encode_number_precision", Fn: func(c *lua.Call) { setInt(c, &cfg.precision, 1, 14) }},
		{Name: "encode_keep_buffer", Fn: func(c *lua.Call) { setBool(c, &cfg.keepBuffer) }},
		{Name: "encode_invalid_numbers", Fn: cfg.setEncodeInvalid},
		{Name: "decode_invalid_numbers", Fn: func(c *lua.Call) { setBool(c, &cfg.decodeInvalid) }},
		{Name: "new", Fn: func(c *lua.Call) { c.Return(lua.TableValue(openJSON(c.State()))) }},
	})
	t.SetField("null", lua.Null)
	t.SetField("_NAME", lua.String("cjson"))
	t.SetField("_VERSION", lua.String("2.1.0"))
	return t
}

// arguments fails if there are more than n.
func arguments(c *lua.Call, n int) {
	if c.NArgs() > n {
		c.ArgError(n+1, "found too many arguments")
	}
}

// setInt changes a setting if there is an argument, and returns it.
func setInt(c *lua.Call, setting *int32, least, most int32) {
	arguments(c, 1)
	changeInt(c, 1, setting, least, most)
	c.Return(lua.Number(float64(*setting)))
}

func changeInt(c *lua.Call, arg int, setting *int32, least, most int32) {
	if c.Arg(arg).IsNil() {
		return
	}
	n := int32(c.CheckInt(arg))
	if n < least || n > most {
		c.ArgError(1, fmt.Sprintf("expected integer between %d and %d", least, most))
	}
	*setting = n
}

func setBool(c *lua.Call, setting *bool) {
	arguments(c, 1)
	changeBool(c, 1, setting)
	c.Return(lua.Bool(*setting))
}

func changeBool(c *lua.Call, arg int, setting *bool) {
	if !c.Arg(arg).IsNil() {
		*setting = option(c, arg, jsonInvalid[:2]) == invalidOn
	}
}

// option returns which of the words an argument is. The second word may be said as true, the
// first as false.
func option(c *lua.Call, arg int, words []string) int {
	v := c.Arg(arg)
	if v.Kind() == lua.KindBool {
		if v.Truthy() {
			return invalidOn
		}
		return invalidOff
	}
	s := cString(c.CheckString(arg))
	for i, w := range words {
		if s == w {
			return i
		}
	}
	c.ArgError(arg, fmt.Sprintf("invalid option '%s'", s))
	return 0
}

func (cfg *jsonConfig) setSparse(c *lua.Call) {
	arguments(c, 3)
	changeBool(c, 1, &cfg.sparseConvert)
	changeInt(c, 2, &cfg.sparseRatio, 0, math.MaxInt32)
	changeInt(c, 3, &cfg.sparseSafe, 0, math.MaxInt32)
	c.Return(lua.Bool(cfg.sparseConvert), lua.Number(float64(cfg.sparseRatio)), lua.Number(float64(cfg.sparseSafe)))
}

func (cfg *jsonConfig) setEncodeInvalid(c *lua.Call) {
	arguments(c, 1)
	if !c.Arg(1).IsNil() {
		cfg.encodeInvalid = option(c, 1, jsonInvalid)
	}
	if cfg.encodeInvalid == invalidNull {
		c.Return(lua.String(jsonInvalid[invalidNull]))
		return
	}
	c.Return(lua.Bool(cfg.encodeInvalid == invalidOn))
}
