-- Shared by the scripts. They fill `requests` once, so that a request costs the load generator nearly nothing,
-- whichever server answers. This file sends them one after another and prints the run's result: requests, microseconds,
-- p50, p99, p99.9 in microseconds, failed.
requests = {}
local at = 0

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency, _)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), failed))
end
