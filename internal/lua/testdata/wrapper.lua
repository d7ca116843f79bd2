-- Runs the program in ARGV[1] and shows what it returns or raises as one line of text.
local function quote(s)
  s = string.gsub(s, '[%c"\\\127-\255]', function(c) return string.format('\\%03d', string.byte(c)) end)
  return '"' .. s .. '"'
end

local show
local function fields(t, depth)
  local out = {}
  local n = #t
  for i = 1, n do out[i] = show(rawget(t, i), depth + 1) end
  for k, v in next, t do
    if not (type(k) == 'number' and k >= 1 and k <= n and k % 1 == 0) then
      out[#out + 1] = '[' .. show(k, depth + 1) .. ']=' .. show(v, depth + 1)
    end
  end
  return '{' .. table.concat(out, ', ') .. '}'
end

show = function(v, depth)
  local kind = type(v)
  if kind == 'string' then return quote(v) end
  if kind == 'number' then return string.format('%.17g', v) end
  if kind == 'table' and depth < 4 then return fields(v, depth) end
  if kind == 'nil' or kind == 'boolean' then return tostring(v) end
  return kind
end

local function result(ok, ...)
  local out = {}
  for i = 1, select('#', ...) do out[i] = show((select(i, ...)), 0) end
  return (ok and '' or 'error: ') .. table.concat(out, ', ')
end

local program, message = loadstring(ARGV[1], '@user_script')
if not program then return 'syntax: ' .. message end
return result(pcall(program))
