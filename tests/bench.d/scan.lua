-- Scans one code after another, each of another citizen, as one checkpoint. The first line has its session, the others a code each.
-- The requests are prepared once.
local requests, at = {}, 0

function init(args)
    local headers
    for line in io.lines(args[1]) do
        if headers then
            requests[#requests + 1] = wrk.format("POST", "/v1/scan", headers, '{"code":"' .. line .. '"}')
        else
            headers = { ["Authorization"] = "Bearer " .. line, ["Content-Type"] = "application/json" }
        end
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

dofile("tests/bench.d/report.lua")
