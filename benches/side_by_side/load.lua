-- Sends the key of the scenario and prints what wrk saw as one line of JSON. Times in microseconds.
wrk.headers["X-API-Key"] = os.getenv("BENCH_KEY")

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests":%d,"duration_us":%d,"status_errors":%d,"socket_errors":%d,'
         .. '"p50_us":%d,"p99_us":%d,"p999_us":%d}\n',
      summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
