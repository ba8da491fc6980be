-- Tables, closures, coroutines, patterns; arg[1] rounds.
local state = 1
local function next_number()
  state = (state * 1103515245 + 12345) % 2147483648
  return state // 256
end
for round = 1, tonumber(arg[1]) do
  local index, parts = {}, {}
  for i = 1, 60000 do
    local key = "k" .. next_number() % 5000
    local held = index[key] or { n = 0, list = {} }
    held.n = held.n + 1
    held.list[#held.list + 1] = { i, key:rep(next_number() % 4) }
    index[key] = held
    if i % 9 == 0 then index["k" .. next_number() % 5000] = nil end
    if i % 50 == 0 then parts[#parts + 1] = key:gsub("%d", function(d) return d .. i end) end
  end
  local keys = {}
  for key in pairs(index) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if index[a].n ~= index[b].n then return index[a].n > index[b].n end
    return a < b
  end)
  local sum = 0
  for place, key in ipairs(keys) do sum = (sum * 31 + place * index[key].n + #index[key].list[1][2]) % 1000003 end
  local steps = {}
  for i = 1, 300 do
    steps[i] = coroutine.wrap(function() for j = 1, 20 do coroutine.yield(("%d:%d"):format(i, j)) end end)
  end
  local text = {}
  for j = 1, 20 do for i = 1, 300 do text[#text + 1] = steps[i]() end end
  local joined = table.concat(text, ",")
  print(round, #keys, sum, #joined, #table.concat(parts), select(2, joined:gsub("1%d:", "")))
end
