-- What wrk counted, as one line of JSON: times in microseconds. Requests themselves are wrk's own, made once.
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "bytes": %d, "duration": %d, "p50": %d, "p99": %d, "p999": %d, "errors": %d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
