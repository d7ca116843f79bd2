package lua_test

import (
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/lua"
)

// BenchmarkPrograms runs programs that are mostly one kind of work.
func BenchmarkPrograms(b *testing.B) {
	for name, program := range map[string]string{
		"arithmetic": `local x = 0 for i = 1, 1000 do x = x + i * 2 - i / 3 end return x`,
		"fields":     `local t = {a = 1, b = 2} for i = 1, 1000 do t.a = t.b + i t.b = t.a - i end return t.a`,
		"array":      `local t = {} for i = 1, 1000 do t[i] = i end local n = 0 for i, v in ipairs(t) do n = n + v end return n`,
		"hash":       `local t = {} for i = 1, 200 do t['k' .. i] = i end local n = 0 for k, v in pairs(t) do n = n + v end return n`,
		"calls":      `local function f(n) if n < 2 then return n end return f(n - 1) + f(n - 2) end return f(12)`,
		"closures":   `local n = 0 for i = 1, 200 do local f = function() n = n + i end f() end return n`,
		"strings":    `local t = {} for i = 1, 100 do t[#t + 1] = ('key:%d'):format(i):upper() end return table.concat(t, ',')`,
		"patterns":   `local n = 0 for k, v in (('key=value;'):rep(50)):gmatch('(%w+)=(%w+)') do n = n + #k + #v end return n`,
		"sort":       `local t = {} for i = 1, 100 do t[i] = (i * 37) % 101 end table.sort(t, function(a, b) return a < b end) return t[1]`,
	} {
		b.Run(name, func(b *testing.B) {
			s := newState(lua.Options{MemoryLimit: 256 << 20, Interrupt: func() error { return nil }})
			fn, err := s.Load("@bench", []byte(program))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Call(fn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLoad compiles a script of a few kilobytes.
func BenchmarkLoad(b *testing.B) {
	source := []byte(strings.Repeat("local function f(key, n) local v = redis.call('GET', key .. n) if v and v ~= '' then return tonumber(v) else return 0 end end f('a', 1)\n", 40))
	s := newState(lua.Options{})
	b.SetBytes(int64(len(source)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Load("@bench", source); err != nil {
			b.Fatal(err)
		}
	}
}
