-- wrk's side: posts one body and holds that every reply is the right one.
-- wrk -s check.lua URL -- json|raw SIZE

local threads = {}
wrong = 0 -- global, so that done can get it

function setup(thread) table.insert(threads, thread) end

function init(args)
  local payload = string.rep("x", tonumber(args[2]))
  wrk.method = "POST"
  if args[1] == "json" then
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"body":"' .. payload .. '"}'
    want = '"' .. payload .. '"' -- a member's name would be in the way of who writes "data": "…"
  else
    wrk.headers["Content-Type"] = "application/octet-stream"
    wrk.body = payload
    want = payload
  end
  exact = args[1] ~= "json"
end

function response(status, headers, body)
  if status == 200 and (body == want or not exact and body:find(want, 1, true)) then return end
  wrong = wrong + 1
end

function done(summary, latency, requests)
  local bad, e = 0, summary.errors
  for _, thread in ipairs(threads) do bad = bad + thread:get("wrong") end
  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"wrong":%d,"p50":%f,"p99":%f}\n',
    summary.requests, summary.duration / 1e6, bad + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
