-- Sets the request up from the environment; prints the figures in a form that is easy to read.
local size = tonumber(os.getenv("BENCH_BODY") or "0")

if size > 0 then
   wrk.method = "POST"
   wrk.body = string.rep("x", size)
   wrk.headers["Content-Type"] = "application/octet-stream"
end
if os.getenv("BENCH_CLOSE") == "1" then
   wrk.headers["Connection"] = "close"
end

done = function(summary, latency, requests)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format("figure requests %d\n", summary.requests))
   io.write(string.format("figure failures %d\n", failed))
   io.write(string.format("figure duration_us %d\n", summary.duration))
   io.write(string.format("figure p50_us %d\n", latency:percentile(50)))
   io.write(string.format("figure p99_us %d\n", latency:percentile(99)))
end
